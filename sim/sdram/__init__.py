"""SDRAM chip for simulation: holds the words and names every rule of the data sheet that its controller breaks."""

from bnnhw.sim.sdram.model import SdramModel
from bnnhw.sim.sdram.rules import Rule

__all__ = ["Rule", "SdramModel"]
