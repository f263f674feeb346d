"""Turns batch norms into affine functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir import BatchNorm
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine


@dataclass(frozen=True)
class FoldBatchNorm:
    """BatchNorm -> Affine, in float64; gamma may be negative or 0 (a constant)."""

    name: ClassVar[str] = "fold-batch-norm"

    def apply(self, graph: Graph) -> Graph:
        return graph.with_nodes(
            Node(node.name, affine_of(node.op), node.inputs) if isinstance(node.op, BatchNorm) else node
            for node in graph.nodes
        )


def affine_of(op: BatchNorm) -> Affine:
    """scale = gamma / sqrt(var + eps), offset = beta - mean * scale."""
    scale = op.gamma.astype(np.float64) / np.sqrt(op.var.astype(np.float64) + op.eps)
    return Affine(scale, op.beta.astype(np.float64) - op.mean.astype(np.float64) * scale)
