"""Moves max pooling before binarisation: the maximum of two-value inputs is the two-value of the maximum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnnhw.compiler.ir import Binarize, MaxPool
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.passes.base import unsupported


@dataclass(frozen=True)
class PoolBeforeBinarize:
    """MaxPool(Binarize(x)) -> Binarize(MaxPool(x)); exact because the engine pools stored values only."""

    name: ClassVar[str] = "pool-before-binarize"

    def apply(self, graph: Graph) -> Graph:
        nodes: list[Node] = []
        before = {node.name: node for node in graph.nodes}
        ranges = dict(graph.meta.get("ranges", {}))
        for node in graph.nodes:
            source = before[node.inputs[0]] if isinstance(node.op, MaxPool) else node
            if isinstance(node.op, MaxPool) and isinstance(source.op, Binarize):
                if source.op.high < source.op.low:
                    raise unsupported(node, "max pooling of binary values needs high above low, not below")
                inner = f"{node.name}.max"
                nodes.append(Node(inner, node.op, source.inputs))
                nodes.append(Node(node.name, source.op, (inner,)))
                if source.inputs[0] in ranges:
                    ranges[inner] = ranges[source.inputs[0]]
            else:
                nodes.append(node)
        return graph.with_nodes(nodes).with_meta(ranges=ranges)
