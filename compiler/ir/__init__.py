"""Float network: operations, graph, printer, NumPy interpreter, saved file."""

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.op import Op, Shape
from bnnhw.compiler.ir.ops import (
    Add,
    BatchNorm,
    Bias,
    Binarize,
    ChannelMean,
    Clamp,
    Flatten,
    GlobalAvgPool,
    Input,
    Levels,
    Scale,
    Shortcut,
    Tile,
    TwoSlope,
)
from bnnhw.compiler.ir.windows import AvgPool, BinaryConv, Conv, MaxPool

__all__ = [
    "Add",
    "AvgPool",
    "BatchNorm",
    "Bias",
    "BinaryConv",
    "ChannelMean",
    "Binarize",
    "Clamp",
    "Conv",
    "Flatten",
    "GlobalAvgPool",
    "Graph",
    "Input",
    "Levels",
    "MaxPool",
    "Node",
    "Op",
    "Scale",
    "Shape",
    "Shortcut",
    "Tile",
    "TwoSlope",
]
