"""Float network: operations, graph, printer, NumPy interpreter, saved file."""

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Bias,
    Binarize,
    BinaryConv,
    Clamp,
    Conv,
    Flatten,
    GlobalAvgPool,
    Input,
    MaxPool,
    Op,
    Shape,
    Shortcut,
    TwoSlope,
)

__all__ = [
    "Add",
    "AvgPool",
    "BatchNorm",
    "Bias",
    "BinaryConv",
    "Binarize",
    "Clamp",
    "Conv",
    "Flatten",
    "GlobalAvgPool",
    "Graph",
    "Input",
    "MaxPool",
    "Node",
    "Op",
    "Shape",
    "Shortcut",
    "TwoSlope",
]
