"""Gives multi-bit convolutions of real maps unsigned codes to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir import Binarize, BinaryConv, Clamp, Conv, Levels
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine, Pixels, Quantize
from bnnhw.compiler.passes.estimate_ranges import SIGMAS
from bnnhw.compiler.passes.fold_input import Operand, convolve_codes
from bnnhw.compiler.passes.remove_dead import RemoveDead

NEAR = 0.5
"""Assumed correlation of neighbouring pixels of an inner map."""


@dataclass(frozen=True)
class QuantizeActivations:
    """Conv of a map that is neither binary nor the image -> Affine, Quantize and CodeConv.

    The affine function moves each channel's range to 0 .. 2**bits - 1; the convolution undoes it by its gains and
    zeros. Channels of binary weights share one gain, so that the weights stay binary. A map of Levels is given as its
    own few bits.
    """

    name: ClassVar[str] = "quantize-activations"
    bits: int = 8

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        known = {node.name: node for node in graph.nodes}
        nodes: list[Node] = []
        made: dict[tuple[str, bool], tuple[str, Operand]] = {}
        for node in graph.nodes:
            real = bool(node.inputs) and not isinstance(known[node.inputs[0]].op, Binarize | Pixels)
            if not (isinstance(node.op, Conv | BinaryConv) and real):
                nodes.append(node)
                continue
            source, binary = node.inputs[0], isinstance(node.op, BinaryConv)
            ranges = graph.meta["channel_ranges"][source]
            if (source, binary) not in made and isinstance(levels := known[source].op, Levels):
                made[source, binary] = f"{source}.codes", _level_operand(ranges, levels)
                nodes += _levels(source, levels, known[source].inputs)
            elif (source, binary) not in made:
                operand = _operand(ranges, self.bits, binary)
                scaled, codes = (source + ending + ".shared" * binary for ending in (".scaled", ".codes"))
                nodes.append(Node(scaled, Affine(1 / operand.gain, -operand.zero / operand.gain), (source,)))
                nodes.append(Node(codes, Quantize(self.bits), (scaled,)))
                made[source, binary] = codes, operand
            codes, operand = made[source, binary]
            nodes.append(Node(node.name, convolve_codes(node, operand, shapes), (codes,)))
        return RemoveDead().apply(graph.with_nodes(nodes))


def _levels(name: str, op: Levels, inputs: tuple[str, ...]) -> list[Node]:
    """The levels as codes, the lowest as 0."""
    scaled, clamped = f"{name}.scaled", f"{name}.clamped"
    step = op.step.astype(np.float64)
    nodes = [Node(scaled, Affine(1 / step, np.full(len(step), op.rounding - 0.5 - op.low)), inputs)]
    if op.high - op.low + 1 < 1 << op.bits:
        nodes.append(Node(clamped, Clamp(0.0, float(op.high - op.low)), (scaled,)))
    return [*nodes, Node(f"{name}.codes", Quantize(op.bits), (nodes[-1].name,))]


def _level_operand(ranges: NDArray[np.float64], op: Levels) -> Operand:
    low, high = ranges
    step = op.step.astype(np.float64)
    return Operand(step, step * op.low, (low + high) / 2, (high - low) / (2 * SIGMAS), NEAR, 0.0)


def _operand(ranges: NDArray[np.float64], bits: int, shared: bool) -> Operand:
    low, high = np.minimum(ranges[0], 0.0), np.maximum(ranges[1], 0.0)
    mean, std = (low + high) / 2, (high - low) / (2 * SIGMAS)
    if shared:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    gain = (high - low) / ((1 << bits) - 1)
    return Operand(np.where(gain == 0, 1.0, gain), low, mean, std, NEAR, 0.0)
