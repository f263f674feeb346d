"""Moves max pooling before a rising two-slope function: fewer values to bend, and a first layer without a bend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.ops import MaxPool, TwoSlope
from bnnhw.compiler.passes.remove_dead import RemoveDead


@dataclass(frozen=True)
class PoolBeforeSlope:
    """MaxPool(TwoSlope(x)) -> TwoSlope(MaxPool(x)), where no slope is negative and nothing else reads the function.

    Exact: a function that never falls takes the largest value to the largest. A front unit (`hw.front`) pools, but
    has no slopes.
    """

    name: ClassVar[str] = "pool-before-slope"

    def apply(self, graph: Graph) -> Graph:
        known = {node.name: node for node in graph.nodes}
        readers = graph.consumers()
        meta = {name: dict(graph.meta.get(name, {})) for name in ("ranges", "channel_ranges")}
        nodes: list[Node] = []
        for node in graph.nodes:
            source = known[node.inputs[0]] if isinstance(node.op, MaxPool) else node
            if isinstance(node.op, MaxPool) and _rises(source) and len(readers[source.name]) == 1:
                inner = f"{node.name}.max"
                nodes.append(Node(inner, node.op, source.inputs))
                nodes.append(Node(node.name, source.op, (inner,)))
                for ranges in meta.values():
                    if source.inputs[0] in ranges:
                        ranges[inner] = ranges[source.inputs[0]]
            else:
                nodes.append(node)
        return RemoveDead().apply(graph.with_nodes(nodes)).with_meta(**meta)


def _rises(node: Node) -> bool:
    return isinstance(node.op, TwoSlope) and bool((node.op.pos >= 0).all() and (node.op.neg >= 0).all())
