"""Simulation of the generated circuit itself: Verilator on the engine's ports, cocotb on the board's pins."""

from bnnhw.sim.rtl.simulate import RtlResult, SimulationError, simulate

__all__ = ["RtlResult", "SimulationError", "simulate"]
