"""Lets binarisations of the same map behind different affine functions read that map directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir import Binarize
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine, Threshold
from bnnhw.compiler.passes.remove_dead import RemoveDead

NEVER = 1e30
"""A threshold that nothing reaches; its negative is one that everything reaches."""


@dataclass(frozen=True)
class MoveThresholds:
    """Binarize(Affine(x)) -> Binarize(x) with threshold (t - offset) / scale, where x has other readers as well.

    Needs scale >= 0 in all channels (0: constant bits); an affine with a negative scale stays.
    """

    name: ClassVar[str] = "move-thresholds"

    def apply(self, graph: Graph) -> Graph:
        known = {node.name: node for node in graph.nodes}
        readers = graph.consumers()
        nodes: list[Node] = []
        for node in graph.nodes:
            op = node.op
            while isinstance(op, Binarize):
                before = known[node.inputs[0]]
                if not isinstance(before.op, Affine) or (before.op.scale < 0).any():
                    break
                if len(readers[before.inputs[0]]) == 1:
                    break  # the affine becomes part of the layer before it
                op = Threshold(_threshold(op, before.op), op.low, op.high)
                node = Node(node.name, op, before.inputs)
            nodes.append(node)
        return RemoveDead().apply(graph.with_nodes(nodes))


def _threshold(op: Binarize, affine: Affine) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    threshold = op.threshold.astype(np.float64)
    constant = np.where(affine.offset >= threshold, -NEVER, NEVER)
    scale = np.where(affine.scale == 0, 1.0, affine.scale)
    return np.asarray(np.where(affine.scale == 0, constant, (threshold - affine.offset) / scale))
