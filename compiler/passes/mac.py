"""Makes the integer convolution of real weights on real activations that are given as gain * code + zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.lowered import Mac, border_axes, border_masks
from bnnhw.compiler.ir.op import IntArray, Shape
from bnnhw.compiler.ir.windows import Windowed
from bnnhw.compiler.passes.weight_grid import Grid
from bnnhw.spec.network import Window

DoubleArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a convolution's windows lie, and which channels they cover."""

    shape_in: Shape
    shape_out: Shape
    kernel: int
    stride: int
    pad: int
    groups: int = 1
    pad_end: int | None = None

    @classmethod
    def of(cls, op: Windowed, kernel: int, shape_in: Shape, shape_out: Shape) -> Geometry:
        """That of a convolution."""
        return cls(shape_in, shape_out, kernel, op.stride, op.pad, op.groups, op.pad_end)

    def in_bounds_sum(self, weight: DoubleArray) -> DoubleArray:
        """Sum over the in-bounds taps and all inputs of each output, (O, border classes)."""
        window = Window(self.kernel, self.stride, self.pad)
        masks = border_masks(self.shape_in, border_axes(self.shape_in, self.shape_out, window), window)
        return np.asarray(np.einsum("oyx,cyx->oc", weight.sum(axis=1), masks))


def on_bits(grid: Grid, bits: int, low: float, high: float, where: Geometry, codebook: Codebook | None = None) -> Mac:
    """Weights scale * q + shift on activations low (bit 0) or high (bit 1): with c = (low + high) / 2 and d half the
    distance, sum of w * a = scale * d * X + shift * (high - low) * A + scale * c * sum(q) + shift * low * N.
    """
    centre, half = (low + high) / 2, (high - low) / 2
    offset = grid.scale[:, None] * centre * where.in_bounds_sum(grid.q.astype(np.float64))
    offset = offset + grid.shift[:, None] * low * where.in_bounds_sum(np.ones_like(grid.q, dtype=np.float64))
    return _mac(grid, bits, "bits", grid.scale * half, grid.shift * (high - low), offset, where, codebook)


def on_codes(grid: Grid, bits: int, gain: float, zero: DoubleArray, where: Geometry,
             codebook: Codebook | None = None) -> Mac:  # fmt: skip
    """Weights scale * q + shift on activations gain * code + zero[i]."""
    offset = where.in_bounds_sum(grid.real * by_output(zero, len(grid.q), where.groups)[:, :, None, None])
    return _mac(grid, bits, "codes", grid.scale * gain, grid.shift * gain, offset, where, codebook)


def by_output(x: DoubleArray, outs: int, groups: int) -> DoubleArray:
    """What each output sees of an array of one value an input channel, (O, I / groups)."""
    return np.repeat(x.reshape(groups, -1), outs // groups, axis=0)


Codebook = tuple[IntArray, IntArray]


def _mac(grid: Grid, bits: int, operand: str, scale: DoubleArray, sum_scale: DoubleArray, offset: DoubleArray,
         where: Geometry, codebook: Codebook | None) -> Mac:  # fmt: skip
    words, index = codebook if codebook is not None else (None, None)
    return Mac(
        grid.q,
        bits,
        operand,
        scale,
        sum_scale,
        offset,
        where.stride,
        where.pad,
        where.groups,
        words,
        index,
        where.pad_end,
    )
