"""Sums, maxima and products over windows; out-of-bounds taps add nothing and are never the maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.spec.network import Window
from bnnhw.spec.numbers import IntArray

FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53


def gather(x: NDArray[Any], window: Window, size: tuple[int, int], fill: int) -> NDArray[Any]:
    """All windows, (N, out height, out width, kernel * kernel, C), with ``fill`` out of bounds; same element type."""
    count, height, width, channels = x.shape
    kernel, stride, pad = window.kernel, window.stride, window.pad
    reach = [(out - 1) * stride + kernel for out in size]
    padded = np.full((count, max(reach[0], height + pad), max(reach[1], width + pad), channels), fill, x.dtype)
    padded[:, pad : pad + height, pad : pad + width] = x
    taps = np.empty((count, *size, kernel * kernel, channels), x.dtype)
    for tap in range(kernel * kernel):
        dy, dx = divmod(tap, kernel)
        rows = slice(dy, dy + (size[0] - 1) * stride + 1, stride)
        columns = slice(dx, dx + (size[1] - 1) * stride + 1, stride)
        taps[:, :, :, tap] = padded[:, rows, columns]
    return taps


def window_sum(x: IntArray, window: Window, size: tuple[int, int]) -> IntArray:
    """Sum over the in-bounds taps of every window, per channel."""
    return np.asarray(gather(x, window, size, 0).sum(axis=3))


def weighted_sum(x: IntArray, weight: IntArray, window: Window, size: tuple[int, int]) -> IntArray:
    """Sum of weight[c, tap] * x over the in-bounds taps of every window, per channel."""
    return np.asarray((gather(x, window, size, 0) * weight.T).sum(axis=3))


def window_max(x: IntArray, window: Window, size: tuple[int, int]) -> IntArray:
    """Maximum over the in-bounds taps of every window, per channel."""
    return np.asarray(gather(x, window, size, np.iinfo(np.int64).min).max(axis=3))


def fold_channels(x: IntArray, fold: int) -> IntArray:
    """Sums of ``fold`` neighbouring channels."""
    kept = x.shape[3] // fold * fold
    return np.asarray(x[..., :kept].reshape(*x.shape[:3], -1, fold).sum(axis=4))


def convolve(
    x: IntArray, weight: IntArray, window: Window, size: tuple[int, int], largest: int, groups: int = 1
) -> IntArray:
    """sum of x * weight over the in-bounds taps; weight (O, I / groups, k, k), |x| <= largest.

    The matrix product runs in floating point where every partial sum is an integer that the type holds exactly.
    """
    outs, ins, kernel, _ = weight.shape
    assert (ins * groups, kernel) == (x.shape[3], window.kernel)
    bound = largest * int(np.abs(weight).sum(axis=(1, 2, 3)).max())
    kind: type[Any] = np.float32 if bound < FLOAT32_EXACT else np.float64 if bound < FLOAT64_EXACT else np.int64
    assert int(np.abs(x).max(initial=0)) <= largest
    taps = gather(x.astype(kind), window, size, 0).reshape(-1, kernel * kernel, groups, ins)
    matrices = weight.reshape(groups, outs // groups, ins, -1).transpose(0, 3, 2, 1).astype(kind)
    parts = [
        taps[:, :, group].reshape(len(taps), -1) @ matrix.reshape(-1, outs // groups)
        for group, matrix in enumerate(matrices)
    ]
    return np.concatenate(parts, axis=1).astype(np.int64).reshape(len(x), *size, outs)
