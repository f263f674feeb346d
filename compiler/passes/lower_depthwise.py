"""Depthwise convolutions, which an array of dot products would mostly idle through, as weighted pooling of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir import BatchNorm, Bias, Clamp, Conv, Input, Levels, Op, TwoSlope
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine, Depthwise, Whole
from bnnhw.compiler.passes.base import unsupported


@dataclass(frozen=True)
class LowerDepthwise:
    """Conv with one input channel a group -> Depthwise, behind it an Affine for its steps and bias.

    Where a group has several outputs, the filters that make its input are repeated instead of the map. A map of Levels
    becomes one of whole numbers.
    """

    name: ClassVar[str] = "lower-depthwise"

    def apply(self, graph: Graph) -> Graph:
        known = {node.name: node for node in graph.nodes}
        uses = {name: len(nodes) for name, nodes in graph.consumers().items()}
        changed: dict[str, Node] = {}
        new: dict[str, list[Node]] = {}
        for node in graph.nodes:
            deep = isinstance(node.op, Conv) and node.op.groups > 1 and node.op.weight.shape[1] == 1
            if deep and not isinstance(known[node.inputs[0]].op, Input):
                assert isinstance(node.op, Conv)
                source, times = known[node.inputs[0]], len(node.op.weight) // node.op.groups
                if times > 1:
                    _repeat(node, source, times, known, uses, changed)
                source, step = changed.get(source.name, source), np.ones(len(node.op.weight))
                if isinstance(source.op, Levels) and uses[source.name] == 1:
                    step = source.op.step.astype(np.float64)
                    new[source.name] = _whole(source, source.op)
                new[node.name] = _depthwise(node, node.op, step)
        return graph.with_nodes(n for node in graph.nodes for n in new.get(node.name, [changed.get(node.name, node)]))


def _repeat(
    conv: Node, node: Node, times: int, known: Mapping[str, Node], uses: Mapping[str, int], changed: dict[str, Node]
) -> None:
    """Repeats every channel on the way from a convolution to ``node``, which nothing else reads."""
    while True:
        if uses[node.name] != 1 or not isinstance(node.op, Conv | BatchNorm | Bias | TwoSlope | Levels):
            raise unsupported(
                conv, "several outputs of one input channel need a convolution before that only they read"
            )
        changed[node.name] = Node(node.name, _repeated(node.op, times), node.inputs)
        if isinstance(node.op, Conv):
            return
        node = known[node.inputs[0]]


def _repeated(op: Op, times: int) -> Op:
    fields = ("weight", "bias") if isinstance(op, Conv) else op.channel_fields
    found = {name: getattr(op, name) for name in fields}
    return replace(op, **{n: np.repeat(a, times, axis=0) for n, a in found.items() if a is not None})


def _whole(node: Node, op: Levels) -> list[Node]:
    """The map in units of its steps."""
    scaled, clamped = f"{node.name}.scaled", f"{node.name}.clamped"
    scale = 1 / op.step.astype(np.float64)
    return [
        Node(scaled, Affine(scale, np.full(len(scale), op.rounding - 0.5)), node.inputs),
        Node(clamped, Clamp(float(op.low), float(op.high)), (scaled,)),
        Node(node.name, Whole(), (clamped,)),
    ]


def _depthwise(node: Node, op: Conv, step: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[Node]:
    """The convolution of a map in units of ``step``: weights are rounded, one scale a channel."""
    weight = op.weight[:, 0].astype(np.float64)
    scale = np.abs(weight).max(axis=(1, 2)) / ((1 << op.weight_bits) - 1)
    safe = np.where(scale == 0, 1.0, scale)
    whole = np.floor(weight / safe[:, None, None] + 0.5).astype(np.int32)
    inner = f"{node.name}.sum"
    bias = np.zeros(len(scale)) if op.bias is None else op.bias.astype(np.float64)
    return [
        Node(inner, Depthwise(op.stride, op.pad, op.pad_end, whole, op.weight_bits), node.inputs),
        Node(node.name, Affine(scale * step, bias), (inner,)),
    ]
