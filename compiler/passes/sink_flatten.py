"""Moves each Flatten down to the dense layer behind it, which becomes a convolution over the whole map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from bnnhw.compiler.ir import Binarize, BinaryConv, Clamp, Conv, Flatten, Op, Shape, TwoSlope
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine
from bnnhw.compiler.passes.base import unsupported


@dataclass(frozen=True)
class SinkFlatten:
    """Flatten -> nothing; 1x1 convolutions of a flattened (C, H, W) map ->
    windows over the whole map.

    The map must be square; per-feature parameters between the two must be the same for all pixels of a channel.
    """

    name: ClassVar[str] = "sink-flatten"

    def apply(self, graph: Graph) -> Graph:
        shapes = graph.shapes()
        flat: dict[str, tuple[str, Shape]] = {}  # flattened node -> (node before flattening, its shape)
        nodes: list[Node] = []
        for node in graph.nodes:
            if isinstance(node.op, Flatten):
                before, shape = flat.get(node.inputs[0], (node.inputs[0], shapes[node.inputs[0]]))
                flat[node.name] = (before, shape)
                continue
            origins = [flat[source] for source in node.inputs if source in flat]
            inputs = tuple(flat[source][0] if source in flat else source for source in node.inputs)
            if not origins or all(shape[1:] == (1, 1) for _, shape in origins):
                nodes.append(replace(node, inputs=inputs))
            elif isinstance(node.op, Conv | BinaryConv):
                nodes.append(Node(node.name, _over_map(node, node.op, origins[0][1]), inputs))
            else:
                nodes.append(Node(node.name, _per_channel(node, origins[0][1]), inputs))
                flat[node.name] = (node.name, origins[0][1])
        output, shape = flat.get(graph.output, (graph.output, (1, 1, 1)))
        if shape[1:] != (1, 1):
            raise unsupported(graph[graph.output], "the scores must come from a dense layer, not from a flattened map")
        return graph.with_nodes(nodes, output)


def _over_map(node: Node, op: Conv | BinaryConv, shape: Shape) -> Op:
    channels, height, width = shape
    if op.groups != 1 or any(op.pads):
        raise unsupported(node, "a dense layer behind a Flatten must have 1 group and no padding")
    if height != width:
        raise unsupported(node, f"a flattened map must be square, not {height}x{width}")
    form = (-1, channels, height, width)
    if isinstance(op, Conv):
        return replace(op, weight=op.weight.reshape(form), stride=1)
    return replace(op, sign=op.sign.reshape(form), stride=1, words=None, index=None)


def _per_channel(node: Node, shape: Shape) -> Op:
    op = node.op
    if not isinstance(op, Affine | Binarize | Clamp | TwoSlope):
        raise unsupported(node, "what follows a Flatten of a map must work on single features or be a dense layer")
    changed: dict[str, Any] = {}
    for name in op.channel_fields:
        values = getattr(op, name).reshape(shape[0], -1)
        if (values != values[:, :1]).any():
            raise unsupported(
                node, f"{name} must be the same for all pixels of a channel behind a Flatten, not different"
            )
        changed[name] = values[:, 0]
    return replace(op, **changed)
