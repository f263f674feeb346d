"""The integer network: what lowering produces, the golden model defines and the engine executes.

A network is a list of layers in execution order. A layer reads one map, computes one integer y per output pixel and
channel, and publishes y in up to three forms: as a fixed-point value, as bits (y >= threshold), as unsigned codes.

Every layer computes, per output channel c and output pixel p:

    X = sum over in-bounds taps of a * w          Conv on Bits: a = +-1;  Conv on Codes: a = the code
      | sum or maximum over in-bounds taps         Pool, on the stored value; with ``fold`` n channel c sums over
                                                   channels n * c .. n * c + n - 1
      | sum over in-bounds taps of w * value       Pool with weights, of its own for each channel
    A = sum over in-bounds taps of b               Conv only: b = the bit (Bits) or the code (Codes); same for all c of
                                                   a group

Output channel c of a Conv with g groups sums over the input channels of group c // (C / g) only.
    v = round_shift(scale[c] * X + sum_scale[c] * A + offset[c, border(p)], shift)
    v = v + residual + second                      same number of fraction bits as v, by construction
    z = v + in_offset[c]
    y = round_shift((pos[c] if z >= 0 else neg[c]) * z, slope_shift) + out_offset[c]
    y = y + residual                               instead of to v, where it is ``late``
    y = round_shift(gate[c] * y, gate.shift) + gate.offset[c]       gate: one value an image and channel
    y = min(max(y, low), high)

Out-of-bounds taps add nothing (a third value besides +-1); what a real padding value other than 0 would add is a
constant of channel and border class, and is part of ``offset``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bnnhw.spec.numbers import Bits, Codes, Fixed, Format, IntArray

PHOTOGRAPH = 64
"""Height and width from which on an image is a photograph: pictures of any size are made to fit it, and its first
map is left to a front unit."""


@dataclass(frozen=True)
class Tensor:
    """A map of (height, width, channels) integers in one format."""

    name: str
    channels: int
    height: int
    width: int
    format: Format


@dataclass(frozen=True)
class Window:
    """A square window slid over a map: output pixel o covers input o * stride - pad + (0 .. kernel - 1).

    ``pad`` is the padding before the first row and column; the padding behind the last follows from the output size.
    """

    kernel: int
    stride: int = 1
    pad: int = 0


@dataclass(frozen=True)
class BorderAxis:
    """Border classes along one axis: outputs 0..low-1, then all inner ones, then the last ``high`` ones."""

    size: int
    low: int
    high: int

    @property
    def count(self) -> int:
        return self.low + self.high + (1 if self.size > self.low + self.high else 0)

    def bounds(self) -> tuple[int, int, int]:
        """(low, high, inner), by which position p has class p below ``low``, p - high + inner from ``high`` on, and
        ``low`` between. All below the number of classes where they stand for one."""
        inner = self.count - self.low - self.high
        if self.high:
            return self.low, self.size - self.high, self.low + inner
        return (self.low if inner else self.low - 1), self.size, 0

    def index(self, position: int) -> int:
        """Class of an output position."""
        low, high, inner = self.bounds()
        if position < low:
            return position
        return position - high + inner if position >= high else low

    def indices(self) -> IntArray:
        """Class of every output position."""
        return np.array([self.index(position) for position in range(self.size)])

    def example(self, index: int) -> int:
        """An output position of class ``index``."""
        return next(p for p in range(self.size) if self.index(p) == index)


def border_axis(size_in: int, size_out: int, window: Window) -> BorderAxis:
    """Positions whose window leaves the map at the low or the high end of an axis."""
    low = min(size_out, -(-window.pad // window.stride))
    inside = (size_in + window.pad - window.kernel) // window.stride + 1  # outputs that do not leave at the high end
    high = max(0, size_out - max(inside, low))
    return BorderAxis(size_out, low, high)


def border_map(y: BorderAxis, x: BorderAxis) -> IntArray:
    """Border class of every output pixel, (height, width)."""
    return np.asarray(y.indices()[:, None] * x.count + x.indices())


@dataclass(frozen=True, eq=False)
class Affine:
    """v = round_shift(scale * X + sum_scale * A + offset[:, border], shift).

    Shapes: scale (C,), sum_scale (C,) or None, offset (C, classes_y * classes_x) with class = class_y * classes_x +
    class_x; a window that never leaves the map has one class.
    """

    scale: IntArray
    offset: IntArray
    shift: int
    sum_scale: IntArray | None = None


@dataclass(frozen=True)
class Residual:
    """Adds value tensor ``tensor`` at (y * stride, x * stride); output channel c reads channel c - pad, or 0 outside.

    stride 2 with zero channels on both sides is ResNet's "option A" shortcut. ``late``: it is added behind the
    two-slope function, which the layer then has. ``tiled``: output channel c reads channel c modulo the tensor's
    channels (PokeBNN's reshape_add), pad is 0.
    """

    tensor: str
    stride: int = 1
    pad: int = 0
    late: bool = False
    tiled: bool = False


@dataclass(frozen=True, eq=False)
class TwoSlope:
    """z = v + in_offset; y = round_shift((pos if z >= 0 else neg) * z, shift) + out_offset. All arrays (C,)."""

    in_offset: IntArray
    pos: IntArray
    neg: IntArray
    out_offset: IntArray
    shift: int


@dataclass(frozen=True, eq=False)
class Gate:
    """y = round_shift(value * y, shift) + offset: squeeze-excite. value: of tensor ``tensor``, (C, 1, 1), one for each
    image; offset (C,)."""

    tensor: str
    shift: int
    offset: IntArray


@dataclass(frozen=True, eq=False)
class Publish:
    """The forms in which a layer's y is published; each names a tensor of the network or is None.

    value: y itself. bits: 1 where y >= threshold[c]. codes: round_shift(y, code_shift) clamped to the code range.
    """

    value: str | None = None
    bits: str | None = None
    threshold: IntArray | None = None
    codes: str | None = None
    code_shift: int = 0


@dataclass(frozen=True, eq=False)
class Post:
    """The post-processing of one layer, in the order of the equations above."""

    affine: Affine
    residual: Residual | None
    slope: TwoSlope | None
    low: int
    high: int
    publish: Publish
    gate: Gate | None = None
    second: Residual | None = None

    @property
    def residuals(self) -> tuple[Residual, ...]:
        """Residuals, in the order in which they are added."""
        return tuple(one for one in (self.residual, self.second) if one is not None)

    @property
    def values(self) -> list[str]:
        """Value tensors that are read here."""
        gate = [] if self.gate is None else [self.gate.tensor]
        return [one.tensor for one in self.residuals] + gate


@dataclass(frozen=True, eq=False)
class Codebook:
    """Sub-bit weights (SNN): weight[o, i].ravel() == words[index[o, i]]; words (2**tau, 9) of +-1, index (O, I), I the
    inputs of an output."""

    words: IntArray
    index: IntArray

    @property
    def tau(self) -> int:
        return (len(self.words) - 1).bit_length()


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution of a Bits or Codes map with odd integer weights of |w| <= 2**weight_bits - 1, (O, I / groups, k, k).

    An odd integer is a sum of +-2**j, j < weight_bits, so each weight bit is one binary plane; binary weights are
    weight_bits = 1. A dense layer is a 1x1 convolution of a 1x1 map.
    """

    name: str
    source: str
    window: Window
    weight: IntArray
    weight_bits: int
    post: Post
    codebook: Codebook | None = None
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Pool:
    """Sum or maximum of a Fixed map over a window (sum with scale 1/n is average pooling).

    ``fold``: how many neighbouring channels are summed, too; those left over at the end are not read. ``weight``
    (C, kernel * kernel): weights of a sum, of at most ``weight_bits`` bits without their sign; the layer is then a
    convolution with one input a channel (depthwise).
    """

    name: str
    source: str
    window: Window
    mode: str
    post: Post
    fold: int = 1
    weight: IntArray | None = None
    weight_bits: int = 0


Layer = Conv | Pool


@dataclass(frozen=True, eq=False)
class Network:
    """An integer network: ``layers`` in execution order, ``tensors`` by name; scores = the 1x1 Fixed map ``output``."""

    name: str
    input: str
    output: str
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)

    def out_tensor(self, layer: Layer) -> Tensor:
        """Any of the tensors a layer publishes: all have the same shape."""
        publish = layer.post.publish
        name = publish.value or publish.bits or publish.codes
        assert name is not None
        return self.tensors[name]

    def weight_bits(self, layer: Layer) -> int:
        """Bits of all weights of a layer as they are stored: of a codebook layer its words and indices (0 without
        weights)."""
        if layer.weight is None:
            return 0
        book = layer.codebook if isinstance(layer, Conv) else None
        return layer.weight.size * layer.weight_bits if book is None else book.words.size + book.index.size * book.tau

    def macs(self, layer: Layer) -> int:
        """Multiply-accumulates of a layer, padding taps included (0 without weights)."""
        if layer.weight is None:
            return 0
        out = self.out_tensor(layer)
        return int(np.prod(layer.weight.shape)) * out.height * out.width

    def ace(self, layer: Layer) -> int:
        """Arithmetic computation effort: MACs x weight bits x activation bits, signs aside (PokeBNN, section 3)."""
        form = self.tensors[layer.source].format
        bits = form.width - 1 if isinstance(form, Fixed) else form.planes
        return self.macs(layer) * layer.weight_bits * bits


__all__ = [
    "Affine",
    "Bits",
    "BorderAxis",
    "Codebook",
    "Codes",
    "Conv",
    "Fixed",
    "Gate",
    "Layer",
    "Network",
    "Pool",
    "Post",
    "Publish",
    "Residual",
    "Tensor",
    "TwoSlope",
    "Window",
    "border_axis",
    "border_map",
]
