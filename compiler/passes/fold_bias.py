"""Turns biases, those of convolutions included, into affine functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir import Bias, Conv
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine

MAC_SUFFIX = ".mac"
"""Ends the name of a convolution whose bias has become a node of its own; the latter keeps the name."""


@dataclass(frozen=True)
class FoldBias:
    """Bias -> Affine; Conv with bias -> Conv and Affine."""

    name: ClassVar[str] = "fold-bias"

    def apply(self, graph: Graph) -> Graph:
        nodes: list[Node] = []
        for node in graph.nodes:
            op = node.op
            if isinstance(op, Bias):
                nodes.append(Node(node.name, _add(op.bias), node.inputs))
            elif isinstance(op, Conv) and op.bias is not None:
                inner = node.name + MAC_SUFFIX
                nodes.append(Node(inner, replace(op, bias=None), node.inputs))
                nodes.append(Node(node.name, _add(op.bias), (inner,)))
            else:
                nodes.append(node)
        return graph.with_nodes(nodes)


def _add(bias: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Affine:
    return Affine(np.ones(len(bias)), bias.astype(np.float64))
