"""Operations of the float network: frozen dataclasses that check their parameters and compute their output shape.

Maps are (channels, height, width) shapes here and (N, height, width, channels) arrays in the interpreter. Parameters
are float32 arrays, one value per channel, unless said otherwise. A dense layer is a 1x1 convolution of a 1x1 map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError

Shape = tuple[int, int, int]
FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


def _window(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> int:
    return (size + sum(pads) - kernel) // stride + 1


def _require(condition: bool, rule: str, value: object) -> None:
    if not condition:
        raise BnnhwError(f"{rule}, not {value}")


@dataclass(frozen=True, eq=False)
class Op:
    """Base of all operations. ``channel_fields`` names the arrays of one value per input channel."""

    arity: ClassVar[int] = 1
    channel_fields: ClassVar[tuple[str, ...]] = ()
    int_fields: ClassVar[tuple[str, ...]] = ()
    float_type: ClassVar[type[np.floating[Any]]] = np.float32

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, list | tuple | np.ndarray):
                dtype = np.int32 if f.name in self.int_fields else self.float_type
                object.__setattr__(self, f.name, np.ascontiguousarray(np.asarray(value), dtype=dtype))

    @property
    def kind(self) -> str:
        return type(self).__name__

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Array parameters by field name, in declaration order."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def scalars(self) -> dict[str, Any]:
        """The other parameters by field name, in declaration order."""
        return {f.name: v for f in fields(self) if not isinstance(v := getattr(self, f.name), np.ndarray)}

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Output shape; raises BnnhwError "X must be <rule>, not <value>" for parameters that do not fit."""
        for name, array in self.arrays().items():
            _require(bool(np.isfinite(array).all()), f"{name} must be finite", "NaN or infinity")
        channels = inputs[0][0] if inputs else None
        for name in self.channel_fields:
            found = getattr(self, name).shape
            _require(found == (channels,), f"{name} must have {channels} values, one per channel", f"shape {found}")
        return self._shape(inputs)

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Input(Op):
    """The image: (u / 255 - mean) / std per channel, u the uint8 pixel."""

    arity: ClassVar[int] = 0

    channels: int
    height: int
    width: int
    mean: FloatArray
    std: FloatArray

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = (self.channels, self.height, self.width)
        _require(min(shape) >= 1, "channels, height and width must be at least 1", shape)
        for name in ("mean", "std"):
            found = getattr(self, name).shape
            _require(found == (self.channels,), f"{name} must have {self.channels} values", f"shape {found}")
        _require(bool((self.std > 0).all()), "std must be positive", float(self.std.min()))
        return shape


@dataclass(frozen=True, eq=False)
class Binarize(Op):
    """x >= threshold[c] ? high : low. ``high`` may be below ``low`` (AdaBin with a negative alpha)."""

    channel_fields: ClassVar[tuple[str, ...]] = ("threshold",)

    threshold: FloatArray
    low: float = -1.0
    high: float = 1.0


class _Padded(Op):
    """Windows with ``pad`` rows and columns before the map, and behind it ``pad_end`` (None: as many)."""

    stride: int
    pad: int
    pad_end: int | None

    @property
    def pads(self) -> tuple[int, int]:
        """Rows and columns added before and behind."""
        return self.pad, self.pad if self.pad_end is None else self.pad_end


class _Windowed(_Padded):
    """Shape rules shared by convolutions."""

    groups: int

    def _conv_shape(self, name: str, weight: IntArray | FloatArray, shape: Shape) -> Shape:
        _require(weight.ndim == 4 and weight.shape[2] == weight.shape[3],
                 f"{name} must have shape (out, in, k, k)", f"shape {weight.shape}")  # fmt: skip
        outs, ins, kernel, _ = weight.shape
        channels, height, width = shape
        _require(self.groups >= 1 and outs % self.groups == 0 and channels % self.groups == 0,
                 "groups must divide the channels", self.groups)  # fmt: skip
        _require(ins * self.groups == channels,
                 f"{name} must have {channels // self.groups} input channels", ins)  # fmt: skip
        _require(
            self.stride >= 1 and min(self.pads) >= 0, "stride must be >= 1 and pad >= 0", (self.stride, *self.pads)
        )
        out = tuple(_window(s, kernel, self.stride, self.pads) for s in (height, width))
        _require(min(out) >= 1, f"the map must be at least as large as the {kernel}x{kernel} window",
                 f"{height}x{width}")  # fmt: skip
        return (outs, out[0], out[1])


@dataclass(frozen=True, eq=False)
class BinaryConv(_Windowed):
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
        _require(bool((np.abs(self.sign) == 1).all()), "sign must be -1 or +1 everywhere", "other values")
        for name in ("alpha", "beta"):
            found = getattr(self, name).shape
            _require(found == (shape[0],), f"{name} must have {shape[0]} values, one per filter", f"shape {found}")
        _require((self.words is None) == (self.index is None), "words and index must be given together", "one of them")
        if self.words is not None and self.index is not None:
            self._check_codebook(self.words, self.index)
        return shape

    def _check_codebook(self, words: IntArray, index: IntArray) -> None:
        outs, ins, kernel, _ = self.sign.shape
        _require(words.ndim == 2 and words.shape[1] == kernel * kernel and words.shape[0] >= 1,
                 f"words must have shape (count, {kernel * kernel})", f"shape {words.shape}")  # fmt: skip
        _require(len(words) & (len(words) - 1) == 0, "the number of words must be a power of two", len(words))
        _require(index.shape == (outs, ins), f"index must have shape {(outs, ins)}", f"shape {index.shape}")
        _require(bool(((index >= 0) & (index < len(words))).all()), f"index must be in 0..{len(words) - 1}",
                 f"{index.min()}..{index.max()}")  # fmt: skip
        same = np.array_equal(words[index].reshape(self.sign.shape), self.sign)
        _require(same, "sign must be what words and index spell", "different")


@dataclass(frozen=True, eq=False)
class Conv(_Windowed):
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
            _require(self.bias.shape == (shape[0],), f"bias must have {shape[0]} values, one per filter",
                     f"shape {self.bias.shape}")  # fmt: skip
        _require(1 <= self.weight_bits <= 24, "weight_bits must be in 1..24", self.weight_bits)
        return shape


@dataclass(frozen=True, eq=False)
class BatchNorm(Op):
    """gamma * (x - mean) / sqrt(var + eps) + beta, 1-d or 2-d, in inference form."""

    channel_fields: ClassVar[tuple[str, ...]] = ("gamma", "beta", "mean", "var")

    gamma: FloatArray
    beta: FloatArray
    mean: FloatArray
    var: FloatArray
    eps: float = 1e-5

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        smallest = float(self.var.min()) + self.eps
        _require(smallest > 0, "var + eps must be positive", smallest)
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Bias(Op):
    """x + bias."""

    channel_fields: ClassVar[tuple[str, ...]] = ("bias",)

    bias: FloatArray


@dataclass(frozen=True, eq=False)
class TwoSlope(Op):
    """(x >= 0 ? pos : neg) * x; PReLU has pos = 1, ReLU pos = 1 and neg = 0, AdaBin's Maxout any."""

    channel_fields: ClassVar[tuple[str, ...]] = ("pos", "neg")

    pos: FloatArray
    neg: FloatArray


@dataclass(frozen=True, eq=False)
class Clamp(Op):
    """min(max(x, low), high); Hardtanh is Clamp(-1, 1)."""

    low: float = -1.0
    high: float = 1.0

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        _require(self.low <= self.high, "low must not be above high", f"{self.low} and {self.high}")
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Sum of two maps of the same shape."""

    arity: ClassVar[int] = 2

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        _require(inputs[0] == inputs[1], f"both inputs must have the same shape {inputs[0]}", inputs[1])
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Shortcut(Op):
    """ResNet's "option A": every ``stride``-th row and column, zero channels added before and after."""

    stride: int = 1
    channels_before: int = 0
    channels_after: int = 0

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        ok = self.stride >= 1 and self.channels_before >= 0 and self.channels_after >= 0
        _require(ok, "stride must be >= 1 and the added channels >= 0", tuple(self.scalars().values()))
        channels, height, width = inputs[0]
        total = channels + self.channels_before + self.channels_after
        return (total, -(-height // self.stride), -(-width // self.stride))


@dataclass(frozen=True, eq=False)
class _Pool(_Padded):
    kernel: int
    stride: int
    pad: int = 0

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        _require(self.kernel >= 1 and self.stride >= 1, "kernel and stride must be >= 1", (self.kernel, self.stride))
        for pad in self.pads:
            _require(0 <= pad <= self.kernel // 2, "pad must be in 0..kernel/2", pad)
        out = tuple(_window(s, self.kernel, self.stride, self.pads) for s in (height, width))
        _require(min(out) >= 1, f"the map must be at least as large as the {self.kernel}x{self.kernel} window",
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


@dataclass(frozen=True, eq=False)
class Levels(Op):
    """Few-bit activations: step[c] * min(max(floor(x / step[c] + rounding), low), high); ``low`` is 0 or negative."""

    channel_fields: ClassVar[tuple[str, ...]] = ("step",)

    step: FloatArray
    low: int
    high: int
    rounding: float = 0.5

    @property
    def bits(self) -> int:
        """Bits of a level."""
        return (self.high - self.low).bit_length()

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        _require(bool((self.step > 0).all()), "step must be positive", float(self.step.min()))
        _require(self.low <= 0 < self.high, "low must be at most 0 and high above 0", (self.low, self.high))
        return inputs[0]


@dataclass(frozen=True, eq=False)
class ChannelMean(Op):
    """Channel c is the mean of ``count`` neighbouring channels from c * count on; those that are left over are dropped
    (PokeBNN's reshape_add)."""

    count: int
    channels: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        _require(self.count >= 1 and 1 <= self.channels * self.count <= channels,
                 f"count times channels must be in 1..{channels}", (self.count, self.channels))  # fmt: skip
        return (self.channels, height, width)


@dataclass(frozen=True, eq=False)
class Tile(Op):
    """All channels, ``times`` times one after the other."""

    times: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        _require(self.times >= 1, "times must be at least 1", self.times)
        return (channels * self.times, height, width)


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """A map times one factor an image and channel, the second input (channels, 1, 1) (squeeze-excite)."""

    arity: ClassVar[int] = 2

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        wanted = (inputs[0][0], 1, 1)
        _require(inputs[1] == wanted, f"the factors must be {wanted}", inputs[1])
        return inputs[0]


@dataclass(frozen=True, eq=False)
class GlobalAvgPool(Op):
    """Average over the whole map."""

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        return (inputs[0][0], 1, 1)


@dataclass(frozen=True, eq=False)
class Flatten(Op):
    """A map as a vector, (channel, y, x) order: shape (channels * height * width, 1, 1)."""

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        return (channels * height * width, 1, 1)


PUBLIC_OPS: tuple[type[Op], ...] = (
    Input, Binarize, BinaryConv, Conv, BatchNorm, Bias, TwoSlope, Clamp, Add, Shortcut, AvgPool, MaxPool,
    GlobalAvgPool, Flatten, Levels, ChannelMean, Tile, Scale,
)  # fmt: skip
