"""Turns layers with real parameters into the integer network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.graph import Graph
from bnnhw.compiler.ir.lowered import Pixels
from bnnhw.compiler.passes.draft import Draft
from bnnhw.compiler.passes.formats import Frac, Widths
from bnnhw.spec.network import (
    Affine,
    Bits,
    Codebook,
    Codes,
    Conv,
    Fixed,
    Gate,
    Layer,
    Network,
    Pool,
    Post,
    Publish,
    Tensor,
    TwoSlope,
)

DoubleArray = NDArray[np.float64]
MAX_SHIFT = 32
SLACK = 0
"""A layer may use up to this many shift steps less than its factors allow, to share its shift with other layers. It
does not where factors are wider than a multiplier's 18 bits: they are so for their precision."""


def emit(graph: Graph, drafts: Sequence[Draft], fracs: Sequence[Frac], widths: Widths) -> Network:
    """The network; tensors are in order of publication, the input first."""
    source = next(node for node in graph.nodes if isinstance(node.op, Pixels))
    op = source.op
    assert isinstance(op, Pixels)
    tensors = {source.name: Tensor(source.name, op.channels, op.height, op.width, Codes(8))}
    made = {draft.tail: frac.y for draft, frac in zip(drafts, fracs, strict=True) if draft.value}
    gains = [2.0 ** (frac.v - made.get(draft.source, 0)) for draft, frac in zip(drafts, fracs, strict=True)]
    shifts = share([_shift_range(draft, gain, widths) for draft, gain in zip(drafts, gains, strict=True)])
    slope_ranges = [_slope_range(draft, frac, widths) for draft, frac in zip(drafts, fracs, strict=True)]
    slope_shifts = share(slope_ranges)
    layers: list[Layer] = []
    for i, draft in enumerate(drafts):
        gate = None
        if draft.gate is not None:
            offset = _integer(draft.gate_offset, fracs[i].y)
            gate = Gate(draft.gate, made[draft.gate] + fracs[i].slope - fracs[i].y, offset)
        post = replace(
            _post(draft, fracs[i], gains[i], shifts[i], slope_shifts[i], widths), gate=gate, second=draft.second
        )
        layers.append(_layer(draft, post))
        channels, height, rows = draft.shape_out
        forms = (post.publish.value, Fixed(widths.value, fracs[i].y)), (post.publish.bits, Bits())
        for name, form in forms:
            if name is not None:
                tensors[name] = Tensor(name, channels, height, rows, form)
        if draft.codes is not None:
            tensors[draft.codes[0]] = Tensor(draft.codes[0], channels, height, rows, Codes(draft.codes[1].bits))
    meta = {key: str(graph.meta[key]) for key in ("weights", "paper") if graph.meta.get(key)}
    classes = tuple(str(name) for name in graph.meta.get("classes") or ())
    name = str(graph.meta.get("name", "network"))
    return Network(name, source.name, graph.output, tuple(layers), tensors, classes, meta)


def share(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """One value within each range, few different ones in all: shifters cost hardware. Larger is more exact."""
    points: list[int] = []
    for low, high in sorted(ranges, key=lambda r: r[1]):
        if not points or low > points[-1]:
            points.append(high)
    return [max(p for p in points if low <= p <= high) for low, high in ranges]


def _shift_range(draft: Draft, gain: float, widths: Widths) -> tuple[int, int]:
    largest = float(max(np.abs(draft.scale).max(), 0 if draft.sum_scale is None else np.abs(draft.sum_scale).max()))
    return _window(largest * gain, widths.scale_limit)


def _slope_range(draft: Draft, frac: Frac, widths: Widths) -> tuple[int, int]:
    if draft.pos is None or draft.neg is None:
        return (0, MAX_SHIFT)
    return _window(float(np.abs([draft.pos, draft.neg]).max()) * 2.0 ** (frac.slope - frac.v), widths.slope_limit)


def _window(largest: float, limit: int) -> tuple[int, int]:
    """Shifts with which ``largest`` comes near, and not above, the limit."""
    if largest == 0:
        return (0, MAX_SHIFT)
    high = min(MAX_SHIFT, math.floor(math.log2((limit + 0.5) / largest)))
    slack = SLACK if limit < 1 << 18 else 0
    return (max(0, high - slack), max(0, high))


def _layer(draft: Draft, post: Post) -> Layer:
    if draft.mac is None:
        pool = Pool(draft.name, draft.source, draft.window, draft.mode, post, draft.fold)
        if draft.depthwise is None:
            return pool
        weight = draft.depthwise.weight.reshape(len(draft.scale), -1).astype(np.int64)
        return replace(pool, weight=weight, weight_bits=draft.depthwise.weight_bits)
    mac = draft.mac
    book = None
    if mac.words is not None and mac.index is not None:
        book = Codebook(mac.words.astype(np.int64), mac.index.astype(np.int64))
    return Conv(
        draft.name, draft.source, draft.window, mac.weight.astype(np.int64), mac.weight_bits, post, book, mac.groups
    )


def _integer(x: DoubleArray, bits: int) -> NDArray[np.int64]:
    return np.rint(np.ldexp(x, bits)).astype(np.int64)


def _post(draft: Draft, frac: Frac, gain: float, shift: int, slope_shift: int, widths: Widths) -> Post:
    scale = np.rint(draft.scale * gain * 2.0**shift).astype(np.int64)
    sums = None if draft.sum_scale is None else np.rint(draft.sum_scale * gain * 2.0**shift).astype(np.int64)
    affine = Affine(scale, _integer(draft.offset, frac.v + shift), shift, sums)
    slope = None
    if draft.pos is not None and draft.neg is not None:
        pos, neg = (_integer(s, slope_shift + frac.slope - frac.v) for s in (draft.pos, draft.neg))
        slope = TwoSlope(np.zeros(len(pos), np.int64), pos, neg, _integer(draft.out, frac.slope), slope_shift)
        assert max(np.abs(pos).max(), np.abs(neg).max()) <= widths.slope_limit, draft.name
    assert max(np.abs(a).max() for a in (scale, sums) if a is not None) <= widths.scale_limit, draft.name
    form = Fixed(widths.value, frac.y)
    low, high = (_bound(x, form) for x in (draft.low, draft.high))
    threshold = None
    if draft.bits is not None:
        exact = np.ceil(np.clip(np.ldexp(draft.bits[1], frac.y), low, high + 1)).astype(np.int64)
        if (exact > form.max).any():  # "never" is one above the largest y, and must be a number of y's width
            high = form.max - 1
            exact = np.clip(exact, low, high + 1)
        threshold = exact
    publish = Publish(
        draft.tail if draft.value else None,
        None if draft.bits is None else draft.bits[0],
        threshold,
        None if draft.codes is None else draft.codes[0],
        0 if draft.codes is None else frac.y,
    )
    assert publish.code_shift >= 0, draft.name
    return Post(affine, draft.residual, slope, low, high, publish)


def _bound(x: float, form: Fixed) -> int:
    """The integer nearest to a clamp's bound, within the format."""
    if math.isinf(x):
        return form.max if x > 0 else form.min
    return int(min(max(round(x * 2.0**form.frac), form.min), form.max))
