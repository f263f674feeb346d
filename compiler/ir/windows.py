"""Operations on windows of a map: convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bnnhw.compiler.ir.op import FloatArray, IntArray, Op, Shape, require


def _window(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> int:
    return (size + sum(pads) - kernel) // stride + 1


class Padded(Op):
    """Windows with ``pad`` rows and columns before the map, and behind it ``pad_end`` (None: as many)."""

    stride: int
    pad: int
    pad_end: int | None

    @property
    def pads(self) -> tuple[int, int]:
        """Rows and columns added before and behind."""
        return self.pad, self.pad if self.pad_end is None else self.pad_end


class Windowed(Padded):
    """Shape rules shared by convolutions."""

    groups: int

    def _conv_shape(self, name: str, weight: IntArray | FloatArray, shape: Shape) -> Shape:
        require(weight.ndim == 4 and weight.shape[2] == weight.shape[3],
                 f"{name} must have shape (out, in, k, k)", f"shape {weight.shape}")  # fmt: skip
        outs, ins, kernel, _ = weight.shape
        channels, height, width = shape
        require(self.groups >= 1 and outs % self.groups == 0 and channels % self.groups == 0,
                 "groups must divide the channels", self.groups)  # fmt: skip
        require(ins * self.groups == channels,
                 f"{name} must have {channels // self.groups} input channels", ins)  # fmt: skip
        require(self.stride >= 1 and min(self.pads) >= 0, "stride must be >= 1 and pad >= 0", (self.stride, *self.pads))
        out = tuple(_window(s, kernel, self.stride, self.pads) for s in (height, width))
        require(min(out) >= 1, f"the map must be at least as large as the {kernel}x{kernel} window",
                 f"{height}x{width}")  # fmt: skip
        return (outs, out[0], out[1])


@dataclass(frozen=True, eq=False)
class BinaryConv(Windowed):
    """Convolution with weights alpha[o] * sign[o, i, y, x] + beta[o]; the padding is 0, put around binarised values.

    ``sign`` (O, I, k, k) of -1 and +1. With a codebook, ``words`` (2**tau, k*k) of -1 and +1 and ``index`` (O, I):
    sign[o, i].ravel() == words[index[o, i]].
    """

    int_fields: ClassVar[tuple[str, ...]] = ("sign", "words", "index")

    sign: IntArray
    alpha: FloatArray
    beta: FloatArray
    stride: int = 1
    pad: int = 0
    groups: int = 1
    words: IntArray | None = None
    index: IntArray | None = None
    pad_end: int | None = None

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = self._conv_shape("sign", self.sign, inputs[0])
        require(bool((np.abs(self.sign) == 1).all()), "sign must be -1 or +1 everywhere", "other values")
        for name in ("alpha", "beta"):
            found = getattr(self, name).shape
            require(found == (shape[0],), f"{name} must have {shape[0]} values, one per filter", f"shape {found}")
        require((self.words is None) == (self.index is None), "words and index must be given together", "one of them")
        if self.words is not None and self.index is not None:
            self._check_codebook(self.words, self.index)
        return shape

    def _check_codebook(self, words: IntArray, index: IntArray) -> None:
        outs, ins, kernel, _ = self.sign.shape
        require(words.ndim == 2 and words.shape[1] == kernel * kernel and words.shape[0] >= 1,
                 f"words must have shape (count, {kernel * kernel})", f"shape {words.shape}")  # fmt: skip
        require(len(words) & (len(words) - 1) == 0, "the number of words must be a power of two", len(words))
        require(index.shape == (outs, ins), f"index must have shape {(outs, ins)}", f"shape {index.shape}")
        require(bool(((index >= 0) & (index < len(words))).all()), f"index must be in 0..{len(words) - 1}",
                 f"{index.min()}..{index.max()}")  # fmt: skip
        same = np.array_equal(words[index].reshape(self.sign.shape), self.sign)
        require(same, "sign must be what words and index spell", "different")


@dataclass(frozen=True, eq=False)
class Conv(Windowed):
    """Multi-bit convolution with zero padding; hardware rounds the weights to ``weight_bits`` (1..24) bits."""

    weight: FloatArray
    bias: FloatArray | None = None
    stride: int = 1
    pad: int = 0
    groups: int = 1
    weight_bits: int = 8
    pad_end: int | None = None

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = self._conv_shape("weight", self.weight, inputs[0])
        if self.bias is not None:
            require(self.bias.shape == (shape[0],), f"bias must have {shape[0]} values, one per filter",
                     f"shape {self.bias.shape}")  # fmt: skip
        require(1 <= self.weight_bits <= 24, "weight_bits must be in 1..24", self.weight_bits)
        return shape


@dataclass(frozen=True, eq=False)
class _Pool(Padded):
    kernel: int
    stride: int
    pad: int = 0

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        require(self.kernel >= 1 and self.stride >= 1, "kernel and stride must be >= 1", (self.kernel, self.stride))
        for pad in self.pads:
            require(0 <= pad <= self.kernel // 2, "pad must be in 0..kernel/2", pad)
        out = tuple(_window(s, self.kernel, self.stride, self.pads) for s in (height, width))
        require(min(out) >= 1, f"the map must be at least as large as the {self.kernel}x{self.kernel} window",
                 f"{height}x{width}")  # fmt: skip
        return (channels, out[0], out[1])


@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Average over a window; the divisor is kernel**2, or the number of in-bounds pixels."""

    count_include_pad: bool = True
    pad_end: int | None = None


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Maximum over the in-bounds pixels of a window."""

    pad_end: int | None = None
