"""Folds the image's normalisation into the layers that read it: they then read the uint8 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir import BinaryConv, Conv, Input, Op, Shape
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import CodeConv, Mac, Pixels
from bnnhw.compiler.passes.mac import Geometry, on_codes
from bnnhw.compiler.passes.weight_grid import Grid

DoubleArray = NDArray[np.float64]


PIXEL_MEAN, PIXEL_STD = 0.45, 0.25
"""Of photographs, in units of the brightest pixel."""
NEAR, ALIKE = 0.95, 0.9
"""Correlation of neighbouring pixels, and of the colours of a pixel, in photographs."""


@dataclass(frozen=True, eq=False)
class Operand:
    """What a multi-bit convolution reads: gain[i] * code + zero[i], with its expected statistics as in CodeConv."""

    gain: DoubleArray
    zero: DoubleArray
    mean: DoubleArray
    std: DoubleArray
    near: float
    alike: float


@dataclass(frozen=True)
class FoldInput:
    """Input -> Pixels; convolutions of it take gain * pixel + zero, and pad with 0 of the normalised image.

    Other readers get the normalised image from a 1x1 convolution inserted for them: its weights are +1 for the channel
    itself and -1 for all others, so that (X + A) / 2 is the pixel, exactly.
    """

    name: ClassVar[str] = "fold-input"

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        source = graph.input
        op = source.op
        assert isinstance(op, Input)
        mean, std = op.mean.astype(np.float64), op.std.astype(np.float64)
        gain, zero = 1 / (255 * std), -mean / std
        image = Operand(gain, zero, (PIXEL_MEAN - mean) / std, PIXEL_STD / std, NEAR, ALIKE)
        nodes: list[Node] = []
        copy = f"{source.name}.value"
        others = [n for n in graph.consumers()[source.name] if not isinstance(n.op, Conv | BinaryConv)]
        for node in graph.nodes:
            if node is source:
                nodes.append(Node(source.name, Pixels(op.channels, op.height, op.width)))
                if others:
                    nodes.append(Node(copy, _identity(gain, zero, shapes[source.name]), (source.name,)))
            elif source.name in node.inputs and isinstance(node.op, Conv | BinaryConv):
                nodes.append(Node(node.name, convolve_codes(node, image, shapes), node.inputs))
            else:
                nodes.append(Node(node.name, node.op, tuple(copy if i == source.name else i for i in node.inputs)))
        ranges = dict(graph.meta.get("ranges", {}))
        if others and source.name in ranges:
            ranges[copy] = ranges[source.name]
        return graph.with_nodes(nodes).with_meta(ranges=ranges)


def convolve_codes(node: Node, x: Operand, shapes: Mapping[str, Shape]) -> Op:
    """A convolution whose input is ``x``; the same gain for all channels keeps binary weights binary."""
    op = node.op
    assert isinstance(op, Conv | BinaryConv)
    if isinstance(op, Conv):
        weight, bits = op.weight.astype(np.float64), op.weight_bits
    else:
        weight = op.alpha[:, None, None, None] * op.sign.astype(np.float64) + op.beta[:, None, None, None]
        bits = 8
    if isinstance(op, BinaryConv) and (x.gain == x.gain[0]).all():
        where = Geometry.of(op, weight.shape[2], shapes[node.inputs[0]], shapes[node.name])
        grid = Grid(op.sign.astype(np.int64), op.alpha.astype(np.float64), op.beta.astype(np.float64))
        codebook = None if op.words is None or op.index is None else (op.words, op.index)
        return on_codes(grid, 1, float(x.gain[0]), x.zero, where, codebook)
    return CodeConv(
        weight, x.gain, x.zero, x.mean, x.std, x.near, x.alike, op.stride, op.pad, op.groups, bits, op.pad_end
    )


def _identity(gain: DoubleArray, zero: DoubleArray, shape: Shape) -> Mac:
    sign = 2 * np.eye(len(gain), dtype=np.int64)[:, :, None, None] - 1
    return Mac(sign, 1, "codes", gain / 2, gain / 2, zero[:, None])
