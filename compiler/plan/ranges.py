"""Interval analysis: what every number of a layer can be, and the tightest clamp that changes nothing.

Intervals are per channel, from the actual weights; a convolution's scale * X + sum_scale * A is bounded jointly, tap by
tap. Every interval includes 0, for stored positions without a channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.compiler.plan.uses import Stored, Uses, borders, stored
from bnnhw.spec.network import Conv, Gate, Network, Pool, Post, TwoSlope
from bnnhw.spec.numbers import Bits, Codes, IntArray, round_shift

Interval = tuple[IntArray, IntArray]
"""Lowest and highest value, per channel."""


@dataclass(frozen=True, eq=False)
class LayerRange:
    """Ranges of one layer over all its channels.

    total: scale * X + sum_scale * A + offset, with the rounding half. pre: every v and z. low, high: clamp of y that
    gives the same published values. pool: partial and full results of the pool reader, or None. threshold: per
    channel, moved into low .. high + 1. gate: of y before the gate, or None.
    """

    total: tuple[int, int]
    pre: tuple[int, int]
    low: int
    high: int
    pool: tuple[int, int] | None
    threshold: IntArray | None
    gate: tuple[int, int] | None = None

    @property
    def rest(self) -> int:
        """y of stored positions without a channel: 0, if the clamp lets it pass."""
        return min(max(0, self.low), self.high)


def layer_ranges(network: Network, uses: Uses) -> list[LayerRange]:
    """Ranges of every layer of the network."""
    ranges: list[LayerRange] = []
    for layer in network.layers:
        pool = None
        if isinstance(layer, Conv):
            low, high = _conv(network, layer)
        else:
            pool, (low, high) = _pool(network, layer, ranges[uses.producer[layer.source]])
        affine = layer.post.affine
        half = 1 << affine.shift >> 1
        low, high = low + affine.offset.min(axis=1) + half, high + affine.offset.max(axis=1) + half
        total = min(0, int(low.min())), max(0, int(high.max()))
        low, high = low >> affine.shift, high >> affine.shift
        pre = [low, high]
        added = [(ranges[uses.producer[r.tensor]], r.late) for r in layer.post.residuals]
        for one in [one for one, late in added if not late]:
            total = total[0] - (max(one.rest, 0) << affine.shift), total[1] - (min(one.rest, 0) << affine.shift)
            pre += [low - one.rest, high - one.rest]  # the fold takes off what positions without a channel add
            low, high = low + min(one.low, 0), high + max(one.high, 0)
            pre += [low, high]
        if layer.post.slope is not None:
            slope = layer.post.slope
            pre += [low + slope.in_offset, high + slope.in_offset]
            low, high = _slope(slope, low + slope.in_offset, high + slope.in_offset)
        for one in [one for one, late in added if late]:
            low, high = low + min(one.low, 0) - max(one.rest, 0), high + max(one.high, 0) - min(one.rest, 0)
        gate = None
        if layer.post.gate is not None:
            gate = min(0, int(low.min())), max(0, int(high.max()))
            low, high = _gate(layer.post.gate, ranges[uses.producer[layer.post.gate.tensor]], low, high)
        ends = [0, *(int(x) for bound in pre for x in (bound.min(), bound.max()))]
        clamp = _clamp(network, stored(network, uses, layer), layer.post, int(low.min()), int(high.max()))
        threshold = layer.post.publish.threshold
        moved = None if threshold is None else np.clip(threshold, clamp[0], clamp[1] + 1)
        ranges.append(LayerRange(total, (min(ends), max(ends)), *clamp, pool, moved, gate))
    return ranges


def _conv(network: Network, layer: Conv) -> Interval:
    """Bounds of scale * X + sum_scale * A."""
    form = network.tensors[layer.source].format
    affine = layer.post.affine
    weight = layer.weight.reshape(len(layer.weight), -1) * affine.scale[:, None]
    total = np.zeros(len(weight), np.int64) if affine.sum_scale is None else affine.sum_scale
    one = weight + total[:, None]
    if isinstance(form, Codes):
        ends = [np.zeros_like(one), ((1 << form.bits) - 1) * one]
    else:
        assert isinstance(form, Bits)
        ends = [-weight, one]
        if any(axis.count > 1 or axis.low or axis.high for axis in borders(network, layer)):
            ends.append(np.zeros_like(one))
    return np.minimum.reduce(ends).sum(axis=1), np.maximum.reduce(ends).sum(axis=1)


def _pool(network: Network, layer: Pool, source: LayerRange) -> tuple[tuple[int, int], Interval]:
    """Range of the pool reader's results, and bounds of scale * X."""
    bottom, top, scale = min(source.low, 0), max(source.high, 0), layer.post.affine.scale
    taps = layer.fold * (layer.window.kernel**2 if layer.mode == "sum" else 1)
    lows, highs = np.full(len(scale), bottom * taps), np.full(len(scale), top * taps)
    if layer.weight is not None:
        ends = [layer.weight * bottom, layer.weight * top]
        lows, highs = np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)
    bounds = np.minimum(scale * lows, scale * highs), np.maximum(scale * lows, scale * highs)
    return (int(lows.min()), int(highs.max())), bounds


def _slope(slope: TwoSlope, low: IntArray, high: IntArray) -> Interval:
    """Bounds of y before the clamp, z in low..high."""
    above = [slope.pos * np.maximum(low, 0), slope.pos * np.maximum(high, 0)]
    below = [slope.neg * np.minimum(low, 0), slope.neg * np.minimum(high, 0)]
    ends = [round_shift(x, slope.shift) + slope.out_offset for x in above + below]
    return np.minimum.reduce(ends), np.maximum.reduce(ends)


def _gate(gate: Gate, factor: LayerRange, low: IntArray, high: IntArray) -> Interval:
    """Bounds of y behind a gate."""
    ends = [round_shift(f * end, gate.shift) + gate.offset for f in (factor.low, factor.high) for end in (low, high)]
    return np.minimum.reduce(ends), np.maximum.reduce(ends)


def _clamp(network: Network, forms: Stored, post: Post, low: int, high: int) -> tuple[int, int]:
    """The clamp, tightened to what y can be and to what its readers can tell apart."""
    bottom, top = (int(np.clip(x, post.low, post.high)) for x in (min(low, 0), max(high, 0)))
    if forms.value is not None or forms.gate is not None or forms.score:
        return bottom, top
    publish = post.publish
    if forms.codes and publish.codes is not None:
        form = network.tensors[publish.codes].format
        assert isinstance(form, Codes)
        floor, ceiling = 0, ((1 << form.bits) - 1) << publish.code_shift
    elif forms.bits is not None and publish.threshold is not None:
        floor, ceiling = int(publish.threshold.min()) - 1, int(publish.threshold.max())
    else:
        return bottom, top
    return int(np.clip(bottom, floor, ceiling)), int(np.clip(top, floor, ceiling))


__all__ = ["LayerRange", "layer_ranges"]
