"""Executes an integer network on images, layer by layer, exactly as spec.network defines it.

Maps are int64 arrays (N, height, width, channels); a Bits map holds the bits 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError
from bnnhw.sim.golden.post import post_process
from bnnhw.sim.golden.windows import convolve, fold_channels, weighted_sum, window_max, window_sum
from bnnhw.spec.network import Conv, Layer, Network
from bnnhw.spec.numbers import Bits, Codes, Fixed, IntArray

BATCH = 32


def run(network: Network, images: NDArray[np.uint8]) -> IntArray:
    """Scores (N, classes), int64, of uint8 images (N, height, width, channels)."""
    parts = [maps[network.output][:, 0, 0, :] for maps in batches(network, images, {network.output})]
    empty = np.zeros((0, network.tensors[network.output].channels), np.int64)
    return np.concatenate([empty, *parts])


def trace(network: Network, images: NDArray[np.uint8]) -> dict[str, IntArray]:
    """Every tensor of the network, int64 (N, height, width, channels); Bits as 0 and 1. For a few images."""
    names = set(network.tensors)
    parts = list(batches(network, images, names))
    return {name: np.concatenate([part[name] for part in parts]) for name in network.tensors if name in parts[0]}


def batches(network: Network, images: NDArray[np.uint8], keep: set[str]) -> Iterator[dict[str, IntArray]]:
    """Maps of the tensors in ``keep``, batch after batch; others are dropped after their last reader."""
    _check_images(network, images)
    last: dict[str, int] = {}
    for position, layer in enumerate(network.layers):
        for name in _reads(layer):
            last[name] = position
    for start in range(0, len(images), BATCH):
        maps = {network.input: images[start : start + BATCH].astype(np.int64)}
        for position, layer in enumerate(network.layers):
            maps.update(execute(network, layer, maps))
            for name in _reads(layer):
                if last[name] == position and name not in keep:
                    maps.pop(name, None)
        yield {name: value for name, value in maps.items() if name in keep}


def execute(network: Network, layer: Layer, maps: dict[str, IntArray]) -> dict[str, IntArray]:
    """The tensors that one layer publishes."""
    source = network.tensors[layer.source]
    out = network.out_tensor(layer)
    x = maps[layer.source]
    size = (out.height, out.width)
    total: IntArray | None = None
    if isinstance(layer, Conv):
        assert isinstance(source.format, Bits | Codes), layer.name
        operand = 2 * x - 1 if isinstance(source.format, Bits) else x
        largest = 1 if isinstance(source.format, Bits) else (1 << source.format.bits) - 1
        value = convolve(operand, layer.weight, layer.window, size, largest, layer.groups)
        if layer.post.affine.sum_scale is not None:
            sums = x.reshape(*x.shape[:3], layer.groups, -1).sum(axis=4)  # of each group's channels
            total = window_sum(sums, layer.window, size).repeat(out.channels // layer.groups, axis=3)
    else:
        assert isinstance(source.format, Fixed), layer.name
        folded = fold_channels(x, layer.fold)[..., : out.channels]
        if layer.weight is not None:
            assert layer.mode == "sum", layer.name
            value = weighted_sum(folded, layer.weight, layer.window, size)
        else:
            value = {"sum": window_sum, "max": window_max}[layer.mode](folded, layer.window, size)
    return post_process(layer, source, out, value, total, maps, network)


def _reads(layer: Layer) -> list[str]:
    return [layer.source, *layer.post.values]


def _check_images(network: Network, images: NDArray[Any]) -> None:
    tensor = network.tensors[network.input]
    wanted = (tensor.height, tensor.width, tensor.channels)
    if images.dtype != np.uint8:
        raise BnnhwError(f"images must be uint8, not {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != wanted:
        raise BnnhwError(f"images must have shape (N, {wanted[0]}, {wanted[1]}, {wanted[2]}), not {images.shape}")
