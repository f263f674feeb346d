"""The front unit: from an image to the first map in the memories, by its configuration and memory contents alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.sim.machine.sources import check_width
from bnnhw.sim.machine.spill import store_front
from bnnhw.sim.machine.state import State
from bnnhw.spec.front import FrontConfig, FrontImages, FrontStore, MapTarget
from bnnhw.spec.network import border_map
from bnnhw.spec.numbers import IntArray, round_shift


def run(
    state: State,
    config: FrontConfig,
    images: FrontImages,
    pictures: NDArray[np.uint8],
    store: FrontStore | None = None,
) -> None:
    """Stores the map of every picture (N, height, width, channels); ``store``: where, if it is spilled."""
    values = _pool(config, _affine(config, images, _convolve(config, images, pictures)))
    groups = values.reshape(*values.shape[:3], -1, config.lanes)
    if store is not None:
        store_front(state, store, groups)
    if config.value is not None:
        address = _address(config, config.value)
        state.values[:, address] = groups[..., : config.value.groups, :]
    if config.bits is not None:
        bits = (values >= np.array(images.thresholds)[: config.outs]).astype(np.uint8).reshape(groups.shape)
        _store_bits(state, config, config.bits, bits)


def _convolve(config: FrontConfig, images: FrontImages, pictures: NDArray[np.uint8]) -> IntArray:
    """Sums (N, out_height, out_width, outs), step by step as the unit adds them."""
    c, k = config, config.window.kernel
    mask, top = (1 << c.weight_bits) - 1, (1 << c.weight_bits) - 1
    words = np.array(images.weights, object).reshape(c.groups, c.taps, c.columns)
    stride, pad = c.window.stride, c.window.pad
    reach = ((c.out_height - 1) * stride + k, (c.out_width - 1) * stride + k)
    size = (max(reach[0], c.height + pad), max(reach[1], c.width + pad))
    padded = np.zeros((len(pictures), *size, c.channels), np.int64)
    padded[:, pad : pad + c.height, pad : pad + c.width] = pictures
    sums = np.zeros((len(pictures), c.out_height, c.out_width, c.groups * c.columns), np.int64)
    for tap in range(c.taps):
        dx, channel = divmod(tap, c.channels)
        for dy in range(k):
            codes = (words[:, tap] >> c.weight_bits * dy & mask).astype(np.int64).reshape(-1)
            rows = slice(dy, dy + (c.out_height - 1) * stride + 1, stride)
            columns = slice(dx, dx + (c.out_width - 1) * stride + 1, stride)
            sums += padded[:, rows, columns, channel, None] * (2 * codes - top)
    check_width(sums, c.acc_width, "sum of the front unit")
    return sums[..., : c.outs]


def _affine(config: FrontConfig, images: FrontImages, sums: IntArray) -> IntArray:
    c = config
    offsets = np.array(images.offsets).reshape(-1, c.classes)[: c.outs]
    v = (np.array(images.scales)[: c.outs] * sums + offsets.T[border_map(c.border_y, c.border_x)]) >> c.shift
    if c.slope_width:
        check_width(v, c.pre_width, "v of the front unit")
        pos, neg, out = (np.array(x)[: c.outs] for x in (images.pos, images.neg, images.out_offsets))
        v = round_shift(np.where(v >= 0, pos, neg) * v, c.slope_shift) + out
    return np.clip(v, c.low, c.high)


def _pool(config: FrontConfig, values: IntArray) -> IntArray:
    """Maximum over each window, one axis after the other."""
    for axis, size in ((1, config.pool_height), (2, config.pool_width)):
        parts = []
        for number in range(size):
            start = number * config.pool.stride - config.pool.pad
            inside = range(max(0, start), min(values.shape[axis], start + config.pool.kernel))
            parts.append(values.take(inside, axis=axis).max(axis=axis, keepdims=True))
        values = np.concatenate(parts, axis=axis)
    return values


def _address(config: FrontConfig, target: MapTarget) -> IntArray:
    """Words (y, x, group) of a map in the value memory."""
    y, x, group = np.ix_(np.arange(config.pool_height), np.arange(config.pool_width), np.arange(target.groups))
    return target.base + y * target.row + x * target.cell + group


def _store_bits(state: State, config: FrontConfig, target: MapTarget, bits: NDArray[np.uint8]) -> None:
    """Bits (N, y, x, group, lanes) to their banks and, near the edge of a strip, to the neighbours'."""
    c = state.config
    y = np.arange(config.pool_height)
    for x in range(config.pool_width):
        bank, column = divmod(x, target.strip)
        for d in range(-c.halo_reach, c.halo_reach + 1):
            there = column - d * target.strip
            if not (0 <= bank + d < c.rows and -target.halo_low <= there < target.strip + target.halo_high):
                continue
            for group in range(target.groups):
                word, slot = divmod(group, c.slots) if target.spread else (group, slice(None))
                at = target.base + y * target.row + (target.halo_low + there) * target.cell + word
                found = bits[:, :, x, group]
                if target.spread:
                    state.activation[:, bank + d, slot, at] = found
                else:
                    state.activation[:, bank + d, :, at] = found.transpose(1, 0, 2)[:, :, None]


__all__ = ["run"]
