"""Groups the nodes of a fully lowered graph into layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    Binarize,
    ChannelMean,
    Clamp,
    GlobalAvgPool,
    MaxPool,
    Scale,
    Shape,
    Shortcut,
    Tile,
    TwoSlope,
)
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.lowered import Affine, Depthwise, Mac, Pixels, Quantize, Whole
from bnnhw.compiler.passes.base import unsupported
from bnnhw.compiler.passes.draft import Draft
from bnnhw.compiler.passes.fold_bias import MAC_SUFFIX
from bnnhw.spec.network import PHOTOGRAPH, Residual, Window, border_axis

IDENTITY_SUFFIX = ".copy"
"""Ends the name of a layer that only passes a value on: a sum over 1x1 windows."""


def group(graph: Graph) -> list[Draft]:
    """Layers in execution order: each starts at a Mac or a pool and goes on until a node does not fit or forks.

    What does not fit into the layer before (a second residual, a second bend, other thresholds on the same map)
    starts an identity layer.
    """
    builder = _Builder(graph)
    for node in graph.nodes:
        builder.visit(node)
    builder.publish_value(graph.output)
    return _ordered(builder.drafts)


@dataclass
class _Builder:
    graph: Graph

    def __post_init__(self) -> None:
        self.shapes = self.graph.shapes()
        self.known = {node.name: node for node in self.graph.nodes}
        self.uses = {name: len(nodes) for name, nodes in self.graph.consumers().items()}
        self.uses[self.graph.output] += 1
        self.drafts: list[Draft] = []
        self.at: dict[str, Draft] = {}  # tail node -> its layer
        self.closed: set[str] = set()  # nodes whose layers absorb no functions

    def visit(self, node: Node) -> None:
        match node.op:
            case Pixels() | Shortcut() | Tile():
                pass
            case Mac():
                self._start(self._mac(node, node.op))
            case AvgPool() | MaxPool() | GlobalAvgPool() | ChannelMean() | Depthwise():
                self._start(self._pool(node))
                if isinstance(node.op, MaxPool) and self._front_pool(node):
                    self.closed.add(node.name)
            case Affine(scale=scale, offset=offset):
                self._chain(node, lambda d: d.affine(scale, offset))
            case TwoSlope(pos=pos, neg=neg):
                self._chain(node, lambda d: d.two_slope(pos.astype(np.float64), neg.astype(np.float64)))
            case Clamp(low=low, high=high):
                self._chain(node, lambda d: d.clamp(low, high))
            case Whole():
                self._chain(node, lambda d: d.round())
            case Add():
                self._add(node)
            case Scale():
                factors = self.publish_value(node.inputs[1])
                self._chain(node, lambda d: d.scale_by(factors))
            case Binarize():
                self._binarize(node, node.op)
            case Quantize():
                self._quantize(node, node.op)
            case _:
                raise unsupported(node, "this operation has no place in hardware")

    def publish_value(self, name: str) -> str:
        """The value tensor of a node, published by its layer."""
        node = self.known[name]
        if name not in self.at:
            raise unsupported(
                node, "its value must be the result of a layer; only an Add may read a Shortcut or a Tile"
            )
        self.at[name].value = True
        return name

    def _start(self, draft: Draft) -> Draft:
        self.drafts.append(draft)
        self.at[draft.tail] = draft
        return draft

    def _mac(self, node: Node, op: Mac) -> Draft:
        sums = op.sum_scale if op.sum_scale.any() else None
        window = Window(op.weight.shape[2], op.stride, op.pad)
        name = node.name.removesuffix(MAC_SUFFIX)
        shapes = self.shapes[node.inputs[0]], self.shapes[node.name]
        return Draft(name, node.inputs[0], window, *shapes, node.name, op.scale, op.offset, op, sum_scale=sums)

    def _pool(self, node: Node) -> Draft:
        op, source = node.op, self.publish_value(node.inputs[0])
        shapes = self.shapes[source], self.shapes[node.name]
        _, height, width = shapes[0]
        if isinstance(op, GlobalAvgPool):
            return _identity(node.name, source, Window(max(height, width)), *shapes, node.name, 1 / (height * width))
        if isinstance(op, ChannelMean):
            return replace(_identity(node.name, source, Window(1), *shapes, node.name, 1 / op.count), fold=op.count)
        if isinstance(op, Depthwise):
            window = Window(op.weight.shape[1], op.stride, op.pad)
            return replace(_identity(node.name, source, window, *shapes, node.name, 1.0), depthwise=op)
        assert isinstance(op, AvgPool | MaxPool)
        window = Window(op.kernel, op.stride, op.pad)
        if isinstance(op, MaxPool):
            return replace(_identity(node.name, source, window, *shapes, node.name, 1.0), mode="max")
        axes = border_axis(height, shapes[1][1], window), border_axis(width, shapes[1][2], window)
        if not op.count_include_pad and any(axis.low or axis.high for axis in axes):
            raise unsupported(node, "a window that leaves the map must count the padding in its divisor")
        return _identity(node.name, source, window, *shapes, node.name, op.kernel**-2)

    def _open(self, name: str) -> Draft | None:
        """The layer of a node that nothing else reads, for more to be absorbed."""
        return self.at.get(name) if self.uses[name] == 1 and name not in self.closed else None

    def _front_pool(self, node: Node) -> bool:
        """Whether this is the max pool of a photograph's first convolution: a front unit pools, no more."""
        conv = self.known[node.inputs[0]]
        while isinstance(conv.op, Affine | TwoSlope):
            conv = self.known[conv.inputs[0]]
        image = self.known[conv.inputs[0]] if isinstance(conv.op, Mac) else node
        return isinstance(image.op, Pixels) and min(self.shapes[image.name][1:]) >= PHOTOGRAPH

    def _copy(self, source: str, name: str) -> Draft:
        """An identity layer of a value, named after the node that needs it."""
        shape = self.shapes[source]
        tensor = self.publish_value(source)
        return _identity(name + IDENTITY_SUFFIX, tensor, Window(1), shape, shape, source, 1.0)

    def _advance(self, draft: Draft, node: Node) -> None:
        self.at.pop(draft.tail, None) if self.at.get(draft.tail) is draft else None
        draft.tail = node.name
        self.at[node.name] = draft

    def _chain(self, node: Node, absorb: object) -> None:
        assert callable(absorb)
        draft = self._open(node.inputs[0])
        if draft is None or not absorb(draft):
            draft = self._copy(node.inputs[0], node.name)
            self.drafts.append(draft)
            fits = absorb(draft)
            assert fits
        self._advance(draft, node)

    def _add(self, node: Node) -> None:
        """The operand whose layer comes last absorbs the other as its residual; one of a convolution, if there is one:
        pools have no residuals."""
        order = {id(draft): position for position, draft in enumerate(self.drafts)}
        candidates = [i for i in (1, 0) if not isinstance(self.known[node.inputs[i]].op, Shortcut | Tile)]
        if not candidates:
            raise unsupported(node, "one of the two inputs must not be a Shortcut or a Tile")
        drafts = {i: self._open(node.inputs[i]) for i in candidates}
        candidates.sort(key=lambda i: ((d := drafts[i]) is None or d.mac is None, -order.get(id(d), -1)))
        for i in candidates:
            draft = self._open(node.inputs[i])
            added = self._shortcut(node.inputs[1 - i])
            if draft is not None and draft.add(added):
                break
        else:
            i = candidates[0]
            draft = self._copy(node.inputs[i], node.name)
            self.drafts.append(draft)
            added = self._shortcut(node.inputs[1 - i])
            fits = draft.add(added)
            assert fits
        self.publish_value(added.tensor)
        self._advance(draft, node)

    def _shortcut(self, name: str) -> Residual:
        node = self.known[name]
        if isinstance(node.op, Shortcut):
            return Residual(node.inputs[0], node.op.stride, node.op.channels_before)
        if isinstance(node.op, Tile):
            return Residual(node.inputs[0], tiled=True)
        return Residual(name)

    def _binarize(self, node: Node, op: Binarize) -> None:
        draft = self.at.get(node.inputs[0])
        if draft is None or draft.bits is not None or draft.codes is not None:
            draft = self._copy(node.inputs[0], node.name)
            self.drafts.append(draft)
        draft.bits = (node.name, op.threshold.astype(np.float64))

    def _quantize(self, node: Node, op: Quantize) -> None:
        """Codes have a layer's y for themselves, and its number of fraction bits."""
        draft = self._open(node.inputs[0])
        if draft is None or draft.residual is not None:
            draft = self._copy(node.inputs[0], node.name)
            self.drafts.append(draft)
        draft.codes = (node.name, op)
        draft.tail = node.name


def _identity(
    name: str, source: str, window: Window, shape_in: Shape, shape_out: Shape, tail: str, scale: float
) -> Draft:
    channels, *sizes = shape_out
    axes = [border_axis(before, after, window) for before, after in zip(shape_in[1:], sizes, strict=True)]
    offset = np.zeros((channels, axes[0].count * axes[1].count))
    return Draft(name, source, window, shape_in, shape_out, tail, np.full(channels, scale), offset)


def _ordered(drafts: list[Draft]) -> list[Draft]:
    """Execution order: as found, but each after the layers whose tensors it reads."""
    made = {name: draft for draft in drafts for name in _published(draft)}
    done: list[Draft] = []

    def place(draft: Draft) -> None:
        if any(draft is other for other in done):
            return
        for name in draft.reads:
            if name in made:
                place(made[name])
        done.append(draft)

    for draft in drafts:
        place(draft)
    return done


def _published(draft: Draft) -> list[str]:
    forms = (draft.tail if draft.value else None, draft.bits and draft.bits[0], draft.codes and draft.codes[0])
    return [name for name in forms if name]
