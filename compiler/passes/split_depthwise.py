"""Depthwise convolutions, which an array of dot products would mostly idle through, as sums of scaled taps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine, Tap, Whole
from bnnhw.compiler.ir.ops import Add, BatchNorm, Bias, Clamp, Conv, Levels, Op, TwoSlope
from bnnhw.compiler.passes.base import unsupported

DoubleArray = NDArray[np.float64]


@dataclass(frozen=True)
class SplitDepthwise:
    """Conv with one input channel a group -> for each tap a Tap and an Affine, and Adds.

    Where a group has several outputs, the filters that make its input are repeated instead of the map. A map of Levels
    becomes one of whole numbers.
    """

    name: ClassVar[str] = "split-depthwise"

    def apply(self, graph: Graph) -> Graph:
        known = {node.name: node for node in graph.nodes}
        readers = graph.consumers()
        changed: dict[str, Node] = {}
        split: dict[str, list[Node]] = {}
        for node in graph.nodes:
            if isinstance(node.op, Conv) and node.op.groups > 1 and node.op.weight.shape[1] == 1:
                source, times = known[node.inputs[0]], len(node.op.weight) // node.op.groups
                if times > 1:
                    _repeat(node, source, times, known, {k: len(v) for k, v in readers.items()}, changed)
                source, step = changed.get(source.name, source), np.ones(len(node.op.weight))
                if isinstance(source.op, Levels) and len(readers[source.name]) == 1:
                    step = source.op.step.astype(np.float64)
                    split[source.name] = _whole(source, source.op)
                split[node.name] = _taps(node, node.op, step)
        nodes = [new for node in graph.nodes for new in split.get(node.name, [changed.get(node.name, node)])]
        return graph.with_nodes(nodes)


def _whole(node: Node, op: Levels) -> list[Node]:
    """The map in units of its steps."""
    scaled, clamped = f"{node.name}.scaled", f"{node.name}.clamped"
    scale = 1 / op.step.astype(np.float64)
    return [
        Node(scaled, Affine(scale, np.full(len(scale), op.rounding - 0.5)), node.inputs),
        Node(clamped, Clamp(float(op.low), float(op.high)), (scaled,)),
        Node(node.name, Whole(), (clamped,)),
    ]


def _repeat(
    conv: Node, node: Node, times: int, known: Mapping[str, Node], uses: Mapping[str, int], changed: dict[str, Node]
) -> None:
    """Repeats every channel on the way from a convolution to ``node``, which nothing else reads."""
    while True:
        if uses[node.name] != 1 or not isinstance(node.op, Conv | BatchNorm | Bias | TwoSlope | Levels):
            raise unsupported(conv, "several outputs of one input channel need a convolution before that only they read")
        changed[node.name] = Node(node.name, _repeated(node.op, times), node.inputs)
        if isinstance(node.op, Conv):
            return
        node = known[node.inputs[0]]


def _repeated(op: Op, times: int) -> Op:
    fields = ("weight", "bias") if isinstance(op, Conv) else op.channel_fields
    found = {name: getattr(op, name) for name in fields}
    return replace(op, **{n: np.repeat(a, times, axis=0) for n, a in found.items() if a is not None})


def _taps(node: Node, op: Conv, step: DoubleArray) -> list[Node]:
    """The convolution of a map in units of ``step`` as a chain of sums, the last of which has its name."""
    kernel = op.weight.shape[2]
    weights = op.weight.reshape(len(op.weight), -1).T.astype(np.float64) * step
    bias = np.zeros(len(op.weight)) if op.bias is None else op.bias.astype(np.float64)
    nodes: list[Node] = []
    total = ""
    for tap, weight in enumerate(weights):
        at = f"{node.name}.tap{tap}"
        nodes.append(Node(at, Tap(kernel, op.stride, op.pad, tap, op.pad_end), node.inputs))
        nodes.append(Node(f"{at}.scaled", Affine(weight, bias if tap == 0 else 0 * bias), (at,)))
        before, total = total, f"{at}.scaled"
        if before:
            name = node.name if tap == len(weights) - 1 else f"{at}.sum"
            nodes.append(Node(name, Add(), (total, before)))
            total = name
    return nodes
