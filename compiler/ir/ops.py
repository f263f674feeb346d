"""The operations of the float network, except those on windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bnnhw.compiler.ir.op import FloatArray, Op, Shape, require
from bnnhw.compiler.ir.windows import AvgPool, BinaryConv, Conv, MaxPool


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
        require(min(shape) >= 1, "channels, height and width must be at least 1", shape)
        for name in ("mean", "std"):
            found = getattr(self, name).shape
            require(found == (self.channels,), f"{name} must have {self.channels} values", f"shape {found}")
        require(bool((self.std > 0).all()), "std must be positive", float(self.std.min()))
        return shape


@dataclass(frozen=True, eq=False)
class Binarize(Op):
    """x >= threshold[c] ? high : low. ``high`` may be below ``low`` (AdaBin with a negative alpha)."""

    channel_fields: ClassVar[tuple[str, ...]] = ("threshold",)

    threshold: FloatArray
    low: float = -1.0
    high: float = 1.0


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
        require(smallest > 0, "var + eps must be positive", smallest)
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
        require(self.low <= self.high, "low must not be above high", f"{self.low} and {self.high}")
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Sum of two maps of the same shape."""

    arity: ClassVar[int] = 2

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        require(inputs[0] == inputs[1], f"both inputs must have the same shape {inputs[0]}", inputs[1])
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Shortcut(Op):
    """ResNet's "option A": every ``stride``-th row and column, zero channels added before and after."""

    stride: int = 1
    channels_before: int = 0
    channels_after: int = 0

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        ok = self.stride >= 1 and self.channels_before >= 0 and self.channels_after >= 0
        require(ok, "stride must be >= 1 and the added channels >= 0", tuple(self.scalars().values()))
        channels, height, width = inputs[0]
        total = channels + self.channels_before + self.channels_after
        return (total, -(-height // self.stride), -(-width // self.stride))


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
        require(bool((self.step > 0).all()), "step must be positive", float(self.step.min()))
        require(self.low <= 0 < self.high, "low must be at most 0 and high above 0", (self.low, self.high))
        return inputs[0]


@dataclass(frozen=True, eq=False)
class ChannelMean(Op):
    """Channel c is the mean of ``count`` neighbouring channels from c * count on; those that are left over are dropped
    (PokeBNN's reshape_add)."""

    count: int
    channels: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        require(self.count >= 1 and 1 <= self.channels * self.count <= channels,
                 f"count times channels must be in 1..{channels}", (self.count, self.channels))  # fmt: skip
        return (self.channels, height, width)


@dataclass(frozen=True, eq=False)
class Tile(Op):
    """All channels, ``times`` times one after the other."""

    times: int

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        require(self.times >= 1, "times must be at least 1", self.times)
        return (channels * self.times, height, width)


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """A map times one factor an image and channel, the second input (channels, 1, 1) (squeeze-excite)."""

    arity: ClassVar[int] = 2

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        wanted = (inputs[0][0], 1, 1)
        require(inputs[1] == wanted, f"the factors must be {wanted}", inputs[1])
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
