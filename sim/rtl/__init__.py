"""Simulation of the generated circuit itself: Verilator on the engine's ports, cocotb on the board's pins."""

from bnnhw.sim.rtl.runner import RtlResult, Simulation, SimulationError, Stalls, simulate
from bnnhw.sim.rtl.verilator import Effort

__all__ = ["Effort", "RtlResult", "Simulation", "SimulationError", "Stalls", "simulate"]
