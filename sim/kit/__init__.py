"""Stream test kit for Amaranth's simulator: drive, drain, monitor, watchdog, with seeded stalls."""

from bnnhw.sim.kit.bench import Bench, Stuck, plain
from bnnhw.sim.kit.monitor import BrokenRule, stream_ports

__all__ = ["Bench", "BrokenRule", "Stuck", "plain", "stream_ports"]
