"""Golden model: NumPy execution of the integer network; it defines what the hardware must give, bit for bit."""

from bnnhw.sim.golden.model import run, trace

__all__ = ["run", "trace"]
