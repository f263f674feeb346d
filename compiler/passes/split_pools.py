"""Cuts global average pooling of large maps in two, so that no window is as high as such a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnnhw.compiler.ir import AvgPool, GlobalAvgPool
from bnnhw.compiler.ir.graph import Graph, Node

PART_SUFFIX = ".part"


@dataclass(frozen=True)
class SplitPools:
    """GlobalAvgPool of a map with more than ``largest`` rows -> AvgPool, GlobalAvgPool.

    A window is read row by row, and all its rows are at hand at once: those of a large map in the SDRAM would not fit.
    """

    name: ClassVar[str] = "split-pools"
    largest: int = 16

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        nodes: list[Node] = []
        for node in graph.nodes:
            if isinstance(node.op, GlobalAvgPool):
                _, height, width = shapes[node.inputs[0]]
                parts = [k for k in range(2, height) if height % k == 0 and width % k == 0 and height // k <= k]
                if height > self.largest and parts:
                    part = node.name + PART_SUFFIX
                    nodes.append(Node(part, AvgPool(parts[0], parts[0]), node.inputs))
                    node = Node(node.name, node.op, (part,))
            nodes.append(node)
        return graph.with_nodes(nodes)
