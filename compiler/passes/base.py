"""What a pass is, and the runner of a pipeline of passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.errors import UnsupportedError


class Pass(Protocol):
    """One job on the float network: valid graph in, valid graph out, same scores (up to the stated rounding).

    A pass is a frozen dataclass; its options are its fields. A node that survives keeps its name and its value, so that
    the ranges of the network stay true through all passes.
    """

    name: ClassVar[str]

    def apply(self, graph: Graph) -> Graph:
        """The rewritten graph; raises UnsupportedError naming the node that cannot be lowered."""
        ...


Hook = Callable[[str, Graph, float], None]
"""Called after each pass with its name, the graph and the seconds it took."""


def run_pipeline(graph: Graph, passes: Sequence[Pass], verify: bool = True, after: Hook | None = None) -> Graph:
    """Runs the passes in order; ``verify`` checks the graph after each."""
    for step in passes:
        start = time.perf_counter()
        graph = step.apply(graph)
        if verify:
            graph.verify()
        if after is not None:
            after(step.name, graph, time.perf_counter() - start)
    return graph


def unsupported(node: Node, reason: str) -> UnsupportedError:
    """The error for a node that cannot be lowered."""
    return UnsupportedError(f"node '{node.name}' ({node.op.kind}): {reason}")
