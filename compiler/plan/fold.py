"""Folding: from the network's affine step on X to the hardware's on the mismatch count.

The array delivers ACC = sum over plane pairs of 2**(i + j) * mismatches; out-of-bounds and missing activations are
0-bits. With w = sum of 2**j * (2 * bit - 1):

    Bits    a = +-1:  X = K * (2**J - 1) - 2 * (ACC - P) + sum of out-of-bounds w
            K positions with a channel; P = sum of 2**j * bit over positions without one; an out-of-bounds tap was
            counted as a = -1, that is as -w
    Codes   u >= 0:   X = (2**I - 1) * S - ACC, S = sum of 2**j * bit over all positions; for a 0-bit of activation
            mismatch and weight bit cancel, so out-of-bounds and missing taps add nothing

Positions without a channel hold 0 or, where a clamp does not let 0 pass, another constant (``Rest``): what a
convolution or a residual reads there is a constant of channel and border class too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bnnhw.compiler.plan.orders import stored_channels
from bnnhw.compiler.plan.ranges import LayerRange
from bnnhw.compiler.plan.uses import borders
from bnnhw.compiler.plan.weights import WeightImage
from bnnhw.spec.network import BorderAxis, Conv, Layer, Network
from bnnhw.spec.numbers import Bits, Codes, IntArray


@dataclass(frozen=True, eq=False)
class Borders:
    """Offsets of the border classes as one offset (S,) and what each class adds to the count, (S, classes):
    offset[:, class] = offset + scale * count[:, class]."""

    offset: IntArray
    count: IntArray

    @classmethod
    def of(cls, scale: IntArray, offset: IntArray) -> Borders | None:
        """Of offsets (S, classes); None where no whole numbers do it. The class that the others are counted from is the
        one that leaves the smallest."""
        found = []
        for base in offset.T:
            count, rest = np.divmod(offset - base[:, None], np.where(scale == 0, 1, scale)[:, None])
            if rest.any() or count[scale == 0].any():
                return None
            found.append(cls(base, count))
        return min(found, key=lambda borders: int(np.abs(borders.count).max()))


@dataclass(frozen=True, eq=False)
class Channels:
    """Hardware parameters of a layer for every stored output position (S); ``offset``: (S, border classes).

    One border class is left where all are equal. Positions without a channel give y = 0 and the bit 0.
    """

    scale: IntArray
    sum_scale: IntArray | None
    offset: IntArray
    in_offset: IntArray
    pos: IntArray
    neg: IntArray
    out_offset: IntArray
    gate_offset: IntArray
    threshold: IntArray

    @cached_property
    def split(self) -> Borders | None:
        """The offsets as counts; None where they are none."""
        return Borders.of(self.scale, self.offset)

    @property
    def borders(self) -> Borders:
        """The offsets as counts, which they are."""
        assert self.split is not None
        return self.split


@dataclass(frozen=True, eq=False)
class Rest:
    """What is read from stored positions without a channel. code, count: the constant in the ``count`` such positions
    of a source pixel; added (C,): the constant that the residual adds to each channel, and should not."""

    code: int = 0
    count: int = 0
    added: IntArray | None = None


def fold_channels(
    network: Network,
    layer: Layer,
    limits: LayerRange,
    order: IntArray,
    count: int,
    weights: WeightImage | None,
    unit_slope: int,
    rest: Rest,
) -> Channels:
    """Parameters of ``count`` stored positions in ``order``; ``unit_slope``: the slope that stands for 1 (or 0)."""
    affine = layer.post.affine
    scale, offset = affine.scale, affine.offset + (1 << affine.shift >> 1)
    if isinstance(layer, Conv):
        assert weights is not None
        factor, constant = _array_constant(network, layer, order, weights)
        scale, offset = factor * scale, offset + scale[:, None] * constant
        if rest.code:
            offset = offset - _rest(network, layer, weights, rest)
    late = layer.post.residual is not None and layer.post.residual.late
    if rest.added is not None and not late:
        offset = offset - (rest.added << affine.shift)[:, None]
    offset = offset[:, :1] if (offset == offset[:, :1]).all() else offset
    channels = stored_channels(order, count)
    zero = np.zeros(len(order), np.int64)
    slope, threshold = layer.post.slope, limits.threshold
    behind = zero if slope is None else slope.out_offset
    if rest.added is not None and late:
        behind = behind - rest.added

    def store(x: IntArray, missing: int = 0) -> IntArray:
        picked = x[channels]
        picked[channels < 0] = missing
        return picked

    return Channels(
        scale=store(scale),
        sum_scale=None if affine.sum_scale is None else store(affine.sum_scale),
        offset=store(offset),
        in_offset=store(zero if slope is None else slope.in_offset),
        pos=store(zero + unit_slope if slope is None else slope.pos),
        neg=store(zero + unit_slope if slope is None else slope.neg),
        out_offset=store(behind),
        gate_offset=store(zero if layer.post.gate is None else layer.post.gate.offset),
        threshold=store(zero if threshold is None else threshold, limits.high + 1),
    )


def _array_constant(network: Network, layer: Conv, order: IntArray, weights: WeightImage) -> tuple[int, IntArray]:
    """(factor, constant (C, classes)) with X = factor * ACC + constant[:, class]."""
    form = network.tensors[layer.source].format
    total = np.zeros(len(layer.weight), np.int64)
    total[order[order >= 0]] = weights.ones[: len(order)][order >= 0]  # by channel
    if isinstance(form, Codes):
        return -1, ((1 << form.bits) - 1) * total[:, None]
    assert isinstance(form, Bits)
    positions = layer.weight[0].size * ((1 << layer.weight_bits) - 1)
    own = (layer.weight.sum(axis=(1, 2, 3)) + positions) >> 1
    return -2, (positions + 2 * (total - own))[:, None] + _outside(network, layer)


def _outside(network: Network, layer: Conv) -> IntArray:
    """Sum of the weights of out-of-bounds taps, (C, classes)."""
    per_tap = layer.weight.sum(axis=1)
    return per_tap.sum(axis=(1, 2))[:, None] - _sum_inside(network, layer, per_tap)


def _rest(network: Network, layer: Conv, weights: WeightImage, rest: Rest) -> IntArray:
    """What the source's positions without a channel add to scale * X + sum_scale * A, (C, classes)."""
    affine, kernel = layer.post.affine, layer.window.kernel
    word = np.full(kernel * kernel, 1 - (1 << layer.weight_bits))  # of 0-bits
    if weights.codebook is not None:
        word = weights.codebook.words[0]
    grid = word.reshape(1, kernel, kernel)
    total = affine.scale[:, None] * _sum_inside(network, layer, grid)
    if affine.sum_scale is not None:
        total = total + affine.sum_scale[:, None] * _sum_inside(network, layer, np.ones_like(grid))
    return total * rest.code * rest.count


def _sum_inside(network: Network, layer: Conv, taps: IntArray) -> IntArray:
    """Sum of taps (n, kernel, kernel) over those inside the map, (n, classes)."""
    source = network.tensors[layer.source]
    axes = borders(network, layer)
    inside = [_inside(axis, size, layer) for axis, size in zip(axes, (source.height, source.width), strict=True)]
    return np.einsum("okl,yk,xl->oyx", taps, inside[0], inside[1]).reshape(len(taps), -1)


def _inside(axis: BorderAxis, size: int, layer: Conv) -> IntArray:
    """(classes, kernel): 1 where the tap of an output of that class is inside the map."""
    window = layer.window
    first = np.array([axis.example(c) * window.stride - window.pad for c in range(axis.count)])
    at = first[:, None] + np.arange(window.kernel)
    return ((at >= 0) & (at < size)).astype(np.int64)


__all__ = ["Channels", "Rest", "fold_channels"]
