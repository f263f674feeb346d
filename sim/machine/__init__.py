"""Machine model: executes an engine's configuration and memory images, word by word, without knowing the network."""

from bnnhw.sim.machine.model import Machine, Mismatch, first_mismatch, run, trace

__all__ = ["Machine", "Mismatch", "first_mismatch", "run", "trace"]
