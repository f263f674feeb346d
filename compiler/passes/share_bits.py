"""Binarises a map once per threshold: equal binarisations of the same map become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bnnhw.compiler.ir import Binarize
from bnnhw.compiler.ir.graph import Graph, Node


@dataclass(frozen=True)
class ShareBits:
    """Binarize nodes with the same input, threshold and values -> the first of them."""

    name: ClassVar[str] = "share-bits"

    def apply(self, graph: Graph) -> Graph:
        first: dict[tuple[object, ...], str] = {}
        renamed: dict[str, str] = {}
        nodes: list[Node] = []
        for node in graph.nodes:
            node = replace(node, inputs=tuple(renamed.get(source, source) for source in node.inputs))
            if isinstance(node.op, Binarize):
                threshold = tuple(float(t) for t in node.op.threshold)
                key = (node.inputs, node.op.low, node.op.high, threshold)
                if key in first:
                    renamed[node.name] = first[key]
                    continue
                first[key] = node.name
            nodes.append(node)
        return graph.with_nodes(nodes)
