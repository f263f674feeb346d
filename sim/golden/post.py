"""Post-processing of one layer: affine, residual, two slopes, saturation, and the forms in which it is published."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnnhw.spec.network import Affine, Layer, Network, Publish, Residual, Tensor, TwoSlope, border_axis, border_map
from bnnhw.spec.numbers import Codes, IntArray, round_shift


def post_process(
    layer: Layer,
    source: Tensor,
    out: Tensor,
    value: IntArray,
    total: IntArray | None,
    maps: Mapping[str, IntArray],
    network: Network,
) -> dict[str, IntArray]:
    """Published tensors from X (N, height, width, C), A (N, height, width, 1 or C) or None, and the maps so far."""
    post = layer.post
    axes = (
        border_axis(source.height, out.height, layer.window),
        border_axis(source.width, out.width, layer.window),
    )
    v = apply_affine(post.affine, value, total, border_map(*axes))
    added = sum(select_residual(residual, maps[residual.tensor], out) for residual in post.residuals)
    if post.residual is not None and post.residual.late:
        assert post.slope is not None, layer.name
        y = apply_slope(post.slope, v) + added
    else:
        y = v + added if post.slope is None else apply_slope(post.slope, v + added)
    if post.gate is not None:
        y = round_shift(maps[post.gate.tensor] * y, post.gate.shift) + post.gate.offset
    return publish(post.publish, np.clip(y, post.low, post.high), network)


def apply_affine(affine: Affine, value: IntArray, total: IntArray | None, border: IntArray) -> IntArray:
    """round_shift(scale * X + sum_scale * A + offset[:, border], shift)."""
    assert affine.offset.shape[1] == int(border.max()) + 1
    v = affine.scale * value + affine.offset.T[border]
    if affine.sum_scale is not None:
        assert total is not None
        v = v + affine.sum_scale * total
    return round_shift(v, affine.shift)


def select_residual(residual: Residual, x: IntArray, out: Tensor) -> IntArray:
    """The residual at the output's pixels and channels; 0 for channels it does not have."""
    picked = x[:, :: residual.stride, :: residual.stride][:, : out.height, : out.width]
    if residual.tiled:
        return picked[..., np.arange(out.channels) % x.shape[3]]
    result = np.zeros((len(x), out.height, out.width, out.channels), np.int64)
    channels = max(0, min(x.shape[3], out.channels - residual.pad))
    result[..., residual.pad : residual.pad + channels] = picked[..., :channels]
    return result


def apply_slope(slope: TwoSlope, v: IntArray) -> IntArray:
    """round_shift((z >= 0 ? pos : neg) * z, shift) + out_offset, z = v + in_offset."""
    z = v + slope.in_offset
    return round_shift(np.where(z >= 0, slope.pos, slope.neg) * z, slope.shift) + slope.out_offset


def publish(forms: Publish, y: IntArray, network: Network) -> dict[str, IntArray]:
    """y as a value, as bits and as codes, whichever the layer publishes."""
    result: dict[str, IntArray] = {}
    if forms.value is not None:
        result[forms.value] = y
    if forms.bits is not None:
        assert forms.threshold is not None
        result[forms.bits] = (y >= forms.threshold).astype(np.int64)
    if forms.codes is not None:
        form = network.tensors[forms.codes].format
        assert isinstance(form, Codes)
        result[forms.codes] = np.clip(round_shift(y, forms.code_shift), 0, (1 << form.bits) - 1)
    return result
