"""The front unit's part of a network: which layers it takes, its configuration, the contents of its memories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnnhw.compiler.plan.orders import Orders, stored_channels
from bnnhw.compiler.plan.places import BitPlace, Places, ValuePlace
from bnnhw.compiler.plan.ranges import LayerRange
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.uses import Uses, borders, stored
from bnnhw.errors import UnsupportedError
from bnnhw.spec.front import FrontConfig, FrontImages, MapTarget
from bnnhw.spec.network import Conv, Layer, Network, Pool, Window
from bnnhw.spec.numbers import IntArray, signed_width

POINT = Window(1)


@dataclass(frozen=True, eq=False)
class FrontLayers:
    """The layers that the front unit computes: a convolution of the image and, where it can do that, the max pool
    behind it."""

    conv: Conv
    pool: Pool | None
    indices: tuple[int, ...]

    @property
    def last(self) -> Layer:
        """The layer whose map is stored."""
        return self.pool or self.conv


def front_layers(network: Network, uses: Uses) -> FrontLayers:
    """The layers for a front unit. Raises UnsupportedError naming what keeps it from computing them."""
    readers = uses.bits(network.input)
    conv = network.layers[readers[0]]
    assert isinstance(conv, Conv)
    if len(readers) > 1:
        raise UnsupportedError(f"input {network.input} must have one reader for a front unit, not {len(readers)}")
    own = _unsuited(conv) or _unsuited_forms(network, uses, conv)
    if own is not None:
        raise UnsupportedError(f"layer {conv.name} must be one that a front unit can compute: {own}")
    value = conv.post.publish.value
    pools = uses.pools.get(value or "", [])
    if len(pools) == 1 and uses.values(value) == pools and not uses.bits(conv.post.publish.bits):
        pool = network.layers[pools[0]]
        assert isinstance(pool, Pool)
        if not (_unsuited_pool(pool) or _unsuited(pool) or _unsuited_forms(network, uses, pool)):
            return FrontLayers(conv, pool, (readers[0], pools[0]))
    return FrontLayers(conv, None, (readers[0],))


def _unsuited(layer: Layer) -> str | None:
    """What a lane can do and the front unit cannot."""
    post = layer.post
    if post.residual is not None:
        return f"{layer.name} adds a residual"
    if post.gate is not None:
        return f"{layer.name} has a gate"
    return f"{layer.name} has an activation sum" if post.affine.sum_scale is not None else None


def _unsuited_forms(network: Network, uses: Uses, layer: Layer) -> str | None:
    forms = stored(network, uses, layer)
    if forms.codes or forms.score:
        return f"{layer.name} publishes {'codes' if forms.codes else 'scores'}"
    return None


def _unsuited_pool(pool: Pool) -> bool:
    """Whether it is other than a maximum over windows that share at most a row and a column."""
    affine = pool.post.affine
    fusable = pool.mode == "max" and pool.fold == 1 and pool.window.kernel - pool.window.stride in (0, 1)
    plain = pool.post.slope is None and (affine.scale == 1 << affine.shift).all() and not affine.offset.any()
    return not (fusable and plain)


def front_config(
    network: Network, front: FrontLayers, shape: Shape, places: Places, orders: Orders, limits: Sequence[LayerRange]
) -> tuple[FrontConfig, FrontImages]:
    """The front unit for a network on a shape, and its memories."""
    conv, last = front.conv, front.last
    image, out, pooled = network.tensors[network.input], network.out_tensor(conv), network.out_tensor(last)
    own, final = limits[front.indices[0]], limits[front.indices[-1]]
    publish = last.post.publish
    value = places.values.get(publish.value or "")
    bits = places.bits.get(publish.bits or "")
    stored_groups = max(p.stored_groups for p in (value, bits) if p is not None)
    order = stored_channels(orders[pooled.name], stored_groups * shape.lanes)
    low, high = (int(np.clip(x, final.low, final.high)) for x in (own.low, own.high))
    axes = borders(network, conv)
    affine, slope = conv.post.affine, conv.post.slope
    offset = affine.offset + (1 << affine.shift >> 1)
    if slope is not None:
        offset = offset + (slope.in_offset << affine.shift)[:, None]
    reach = 255 * np.abs(conv.weight).sum(axis=(1, 2, 3)).max()
    threshold = final.threshold if final.threshold is not None else np.zeros(out.channels, np.int64)
    config = FrontConfig(
        height=image.height,
        width=image.width,
        channels=image.channels,
        window=conv.window,
        out_height=out.height,
        out_width=out.width,
        outs=len(order),
        lanes=shape.lanes,
        columns=shape.front,
        weight_bits=conv.weight_bits,
        acc_width=signed_width(-int(reach), int(reach)),
        scale_width=signed_width(int(affine.scale.min()), int(affine.scale.max())),
        offset_width=signed_width(int(offset.min()), int(offset.max())),
        value_width=signed_width(min(low, 0), max(high, 0)),
        shift=affine.shift,
        low=low,
        high=high,
        border_y=axes[0],
        border_x=axes[1],
        pool=POINT if front.pool is None else front.pool.window,
        pool_height=pooled.height,
        pool_width=pooled.width,
        value=None if value is None or value.spilled else _value_target(value),
        bits=None if bits is None else _bit_target(bits),
        slope_width=0 if slope is None else _width(slope.pos, slope.neg),
        slope_shift=0 if slope is None else slope.shift,
        out_offset_width=0 if slope is None else _width(slope.out_offset),
        pre_width=signed_width(*own.pre),
        spilled=value.stored_groups if value is not None and value.spilled else 0,
    )
    return config, _images(config, conv, order, offset, threshold, final.high + 1)


def _width(*arrays: IntArray) -> int:
    return signed_width(min(int(a.min()) for a in arrays), max(int(a.max()) for a in arrays))


def _value_target(place: ValuePlace) -> MapTarget:
    return MapTarget(place.base, place.row, place.cell, place.stored_groups)


def _bit_target(place: BitPlace) -> MapTarget:
    return MapTarget(
        place.base,
        place.row,
        place.cell,
        place.stored_groups,
        place.strip,
        place.halo_low,
        place.halo_high,
        place.spread,
    )


def _images(
    config: FrontConfig, conv: Conv, order: IntArray, offset: IntArray, threshold: IntArray, never: int
) -> FrontImages:
    channels = stored_channels(order, config.groups * config.columns)
    slope = conv.post.slope

    def store(x: IntArray, missing: int = 0) -> tuple[int, ...]:
        picked = x[channels]
        picked[channels < 0] = missing
        return tuple(picked.reshape(-1).tolist())

    codes = (conv.weight[channels] + (1 << conv.weight_bits) - 1) >> 1
    # (group, channel of it, in, row, column) -> (group, column, in, channel of it): a word of rows each
    grouped = codes.reshape(config.groups, config.columns, *codes.shape[1:]).transpose(0, 4, 2, 1, 3)
    words = (grouped.astype(object) << np.arange(config.window.kernel) * conv.weight_bits).sum(axis=-1)
    return FrontImages(
        weights=tuple(int(word) for word in words.reshape(-1)),
        scales=store(conv.post.affine.scale),
        offsets=store(offset),
        thresholds=store(threshold, never),
        pos=store(slope.pos) if slope is not None else (),
        neg=store(slope.neg) if slope is not None else (),
        out_offsets=store(slope.out_offset) if slope is not None else (),
    )


__all__ = ["FrontLayers", "front_config", "front_layers"]
