"""DWR's family: reshaped backbones as data and as float networks, with seeded weights or those of a checkpoint."""

from __future__ import annotations

from bnnhw.compiler.frontend.dwr.arch import ARCHS, ORIGINALS, PAPER, Arch, Backbone, Layer, Vgg
from bnnhw.compiler.frontend.dwr.checkpoint import importers
from bnnhw.compiler.frontend.dwr.graph import graph_of, untrained

__all__ = ["ARCHS", "ORIGINALS", "PAPER", "Arch", "Backbone", "Layer", "Vgg", "graph_of", "importers", "untrained"]
