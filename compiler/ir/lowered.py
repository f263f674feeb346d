"""Operations that only passes create: the steps between the float network and the integer one.

Parameters are float64, so that folding loses nothing. A window operation on bits or codes counts in-bounds taps only;
what the real padding value would have added is part of ``offset`` (O, border classes), classes as in spec.network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.op import IntArray, Op, Shape, require
from bnnhw.compiler.ir.ops import Binarize
from bnnhw.compiler.ir.windows import AvgPool, Padded, Windowed
from bnnhw.spec.network import BorderAxis, Window, border_axis

DoubleArray = NDArray[np.float64]


def border_axes(shape_in: Shape, shape_out: Shape, window: Window) -> tuple[BorderAxis, BorderAxis]:
    """Border classes along y and x."""
    return border_axis(shape_in[1], shape_out[1], window), border_axis(shape_in[2], shape_out[2], window)


def border_masks(shape_in: Shape, axes: tuple[BorderAxis, BorderAxis], window: Window) -> NDArray[np.float64]:
    """1.0 where a tap is in bounds, (classes, kernel, kernel); class = class_y * classes_x + class_x."""
    sides = []
    for size, axis in zip(shape_in[1:], axes, strict=True):
        taps = np.array([[axis.example(c) * window.stride - window.pad + t for t in range(window.kernel)]
                         for c in range(axis.count)])  # fmt: skip
        sides.append((taps >= 0) & (taps < size))
    rows, columns = sides
    masks = rows[:, None, :, None] & columns[None, :, None, :]
    return masks.reshape(-1, window.kernel, window.kernel).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Pixels(Op):
    """The image as codes: the uint8 pixel itself."""

    arity: ClassVar[int] = 0

    channels: int
    height: int
    width: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.channels, self.height, self.width)


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """scale[c] * x + offset[c]."""

    channel_fields: ClassVar[tuple[str, ...]] = ("scale", "offset")
    float_type: ClassVar[type[np.floating[Any]]] = np.float64

    scale: DoubleArray
    offset: DoubleArray


@dataclass(frozen=True, eq=False)
class Threshold(Binarize):
    """A binarisation whose threshold was computed from other parameters."""

    float_type: ClassVar[type[np.floating[Any]]] = np.float64


@dataclass(frozen=True, eq=False)
class Quantize(Op):
    """Codes: floor(x + 1/2), clamped to 0 .. 2**bits - 1."""

    bits: int


@dataclass(frozen=True, eq=False)
class Whole(Op):
    """floor(x + 1/2), stored as a value without fraction bits."""


@dataclass(frozen=True, eq=False)
class Depthwise(Padded):
    """Sum of weight[c, y, x] * x over a window of each channel; weights (C, k, k) are integers of at most
    2**weight_bits - 1."""

    int_fields: ClassVar[tuple[str, ...]] = ("weight",)

    stride: int
    pad: int
    pad_end: int | None
    weight: IntArray
    weight_bits: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        wanted = (inputs[0][0], self.weight.shape[1], self.weight.shape[1])
        require(self.weight.shape == wanted, f"weight must have shape {wanted}", f"shape {self.weight.shape}")
        return AvgPool(wanted[1], self.stride, self.pad, pad_end=self.pad_end).shape(inputs)


@dataclass(frozen=True, eq=False)
class _Mac(Windowed):
    """A convolution whose window may leave the map at the high end by less than at the low end."""

    float_type: ClassVar[type[np.floating[Any]]] = np.float64

    def _mac_shape(self, weight: IntArray | DoubleArray, offset: DoubleArray, inputs: Sequence[Shape]) -> Shape:
        shape = self._conv_shape("weight", weight, inputs[0])
        axes = border_axes(inputs[0], shape, Window(weight.shape[2], self.stride, self.pad))
        wanted = (shape[0], axes[0].count * axes[1].count)
        require(offset.shape == wanted, f"offset must have shape {wanted}", f"shape {offset.shape}")
        return shape


@dataclass(frozen=True, eq=False)
class CodeConv(_Mac):
    """Convolution of the map gain[i] * code + zero[i], which is padded with real zeros; weights still real.

    ``mean`` and ``std`` (I,) are what that map's values are expected to be like, ``near`` and ``alike`` the
    correlations between neighbouring pixels and between channels: weights are rounded where it hurts least.
    """

    channel_fields: ClassVar[tuple[str, ...]] = ("gain", "zero", "mean", "std")

    weight: DoubleArray
    gain: DoubleArray
    zero: DoubleArray
    mean: DoubleArray
    std: DoubleArray
    near: float = 0.0
    alike: float = 0.0
    stride: int = 1
    pad: int = 0
    groups: int = 1
    weight_bits: int = 8
    pad_end: int | None = None

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        return self._conv_shape("weight", self.weight, inputs[0])


@dataclass(frozen=True, eq=False)
class Mac(_Mac):
    """scale[o] * X + sum_scale[o] * A + offset[o, border], with X and A as in spec.network.

    ``weight`` odd integers of at most 2**weight_bits - 1. The input is +-1 (``operand`` "bits") or codes ("codes").
    """

    int_fields: ClassVar[tuple[str, ...]] = ("weight", "words", "index")

    weight: IntArray
    weight_bits: int
    operand: str
    scale: DoubleArray
    sum_scale: DoubleArray
    offset: DoubleArray
    stride: int = 1
    pad: int = 0
    groups: int = 1
    words: IntArray | None = None
    index: IntArray | None = None
    pad_end: int | None = None

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        top = (1 << self.weight_bits) - 1
        require(bool((self.weight % 2 == 1).all()), "weights must be odd", "even")
        require(bool((np.abs(self.weight) <= top).all()), f"weights must be at most {top}", np.abs(self.weight).max())
        return self._mac_shape(self.weight, self.offset, inputs)
