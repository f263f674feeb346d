"""Turns convolutions of two-value activations into XNOR-popcount form: X, activation sum and border constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir import Binarize, BinaryConv, Conv
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Mac
from bnnhw.compiler.passes.base import unsupported
from bnnhw.compiler.passes.mac import Geometry, on_bits
from bnnhw.compiler.passes.weight_grid import Grid, to_grid


@dataclass(frozen=True)
class ExpandTwoValue:
    """Binarize to any two values -> to -1 and +1; BinaryConv and Conv of it -> Mac on bits. Exact at borders.

    With high below low (AdaBin with a negative alpha) the factor of X is negative; nothing else changes.
    """

    name: ClassVar[str] = "expand-two-value"

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        known = {node.name: node for node in graph.nodes}
        nodes: list[Node] = []
        for node in graph.nodes:
            op = node.op
            source = known[node.inputs[0]].op if node.inputs else op
            if isinstance(op, Binarize):
                nodes.append(Node(node.name, replace(op, low=-1.0, high=1.0), node.inputs))
            elif isinstance(op, Conv | BinaryConv) and isinstance(source, Binarize):
                kernel = (op.sign if isinstance(op, BinaryConv) else op.weight).shape[2]
                where = Geometry.of(op, kernel, shapes[node.inputs[0]], shapes[node.name])
                nodes.append(Node(node.name, _expand(op, source, where), node.inputs))
            else:
                others = [i for i in node.inputs if isinstance(known[i].op, Binarize)]
                if others:
                    raise unsupported(
                        node, f"the binary values of '{others[0]}' must go into a convolution or a max pool"
                    )
                nodes.append(node)
        return graph.with_nodes(nodes)


def _expand(op: Conv | BinaryConv, source: Binarize, where: Geometry) -> Mac:
    if isinstance(op, Conv):
        grid = to_grid(op.weight.astype(np.float64), op.weight_bits)
        return on_bits(grid, op.weight_bits, source.low, source.high, where)
    grid = Grid(op.sign.astype(np.int64), op.alpha.astype(np.float64), op.beta.astype(np.float64))
    codebook = None if op.words is None or op.index is None else (op.words, op.index)
    return on_bits(grid, 1, source.low, source.high, where, codebook)
