"""Rounds the weights of multi-bit convolutions to odd integers, one scale a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import CodeConv
from bnnhw.compiler.passes.mac import Geometry, on_codes
from bnnhw.compiler.passes.weight_grid import Grid, to_grid


@dataclass(frozen=True)
class QuantizeWeights:
    """CodeConv -> Mac on codes; gains go into the weights, zeros (with the rounded weights) into the offsets."""

    name: ClassVar[str] = "quantize-weights"

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        nodes: list[Node] = []
        for node in graph.nodes:
            op = node.op
            if isinstance(op, CodeConv):
                kernel = op.weight.shape[2]
                where = Geometry.of(op, kernel, shapes[node.inputs[0]], shapes[node.name])
                mac = on_codes(_grid(op), op.weight_bits, 1.0, op.zero / op.gain, where)
                nodes.append(Node(node.name, mac, node.inputs))
            else:
                nodes.append(node)
        return graph.with_nodes(nodes)


def _grid(op: CodeConv) -> Grid:
    """The weights, gains included, as odd integers; each group's with the statistics of its own inputs."""
    ins, grids = op.weight.shape[1], []
    for group, weight in enumerate(np.split(op.weight, op.groups)):
        own = slice(group * ins, (group + 1) * ins)
        grids.append(to_grid(weight * op.gain[own][None, :, None, None], op.weight_bits, _moments(op, own)))
    return Grid(*(np.concatenate([getattr(grid, name) for grid in grids]) for name in ("q", "scale", "shift")))


def _moments(op: CodeConv, own: slice) -> NDArray[np.float64]:
    """Expected products of the inputs of two weights (n, n), n = inputs ``own`` * taps; input / gain is what a weight
    sees."""
    kernel, gain = op.weight.shape[2], op.gain[own]
    y, x = (a.ravel() for a in np.mgrid[:kernel, :kernel])
    distance = np.hypot(y[:, None] - y[None, :], x[:, None] - x[None, :])
    taps = op.near**distance
    channels = np.full((len(gain), len(gain)), op.alike)
    np.fill_diagonal(channels, 1.0)
    mean, std = (np.repeat(a[own] / gain, kernel * kernel) for a in (op.mean, op.std))
    return np.asarray(np.kron(channels, taps) * np.outer(std, std) + np.outer(mean, mean))
