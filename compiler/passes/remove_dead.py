"""Removes nodes that the output does not depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnnhw.compiler.ir import Input
from bnnhw.compiler.ir.graph import Graph
from bnnhw.compiler.ir.lowered import Pixels


@dataclass(frozen=True)
class RemoveDead:
    """Keeps the input and what the output needs."""

    name: ClassVar[str] = "remove-dead"

    def apply(self, graph: Graph) -> Graph:
        needed = {graph.output}
        for node in reversed(graph.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return graph.with_nodes(n for n in graph.nodes if n.name in needed or isinstance(n.op, Input | Pixels))
