"""DWR's backbones as float networks, with random arrays or those of a checkpoint.

What the engine does not compute, or not as the official code writes it:

- SD-BNN shifts its thresholds by two small dense layers of the map's means. Of those networks only the widths are here,
  with thresholds that do not depend on the image: the cost that is told of them leaves the dense layers out as well.
  Its shift of the weights is known before they are binarised.
- The stem of ImageNet's networks is widened by copies: channels scaled and normalised, then as many of the channels as
  they were as there is room for. One convolution with 1-bit weights (a factor or 0) selects them all; what the code
  multiplies, its factors, is what OPs count (`bnnhw.models.cost.COUNTED`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnnhw.compiler.frontend.dwr.arch import ARCHS, KERNEL, PAPER, Arch, Backbone, Layer, Vgg
from bnnhw.compiler.frontend.dwr.arrays import Arrays, Drawn, FloatArray
from bnnhw.compiler.frontend.nodes import CIFAR_CLASSES, IMAGENET, NodeBuilder
from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    BatchNorm,
    Bias,
    Binarize,
    BinaryConv,
    Clamp,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    TwoSlope,
)
from bnnhw.errors import BnnhwError

PRECISION = {"value": 9, "factor": 18}
"""Bits of the values of large networks, as wide as a block RAM's bytes: those of 56 x 56 pixels, or of 32 x 32 of more
than a hundred channels, are to lie on chip. The latter are in -1 .. 1 (Hardtanh)."""
OF_STEM = 0.54, 1.7
"""Deviation of the stem's pooled values, and their mean in deviations."""
OF_FOUR = 1.03, 0.70
"""Mean and standard deviation of the largest of four normal values."""
EPS = 1e-5


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    return graph_of(arch or ARCHS[name], seed, name=name, weights="untrained")


def graph_of(arch: Arch, seed: int, **meta: Any) -> Graph:
    """A float network with random weights (`Drawn`). ``meta`` is added to the graph's metadata.

    Raises BnnhwError for channels that decrease where shortcuts without weights add them (style cifar).
    """
    return build(arch, Drawn(seed), **meta)


def build(arch: Arch, arrays: Arrays, **meta: Any) -> Graph:
    """The float network with these arrays; as `graph_of`."""
    builder = _Builder(arrays)
    constants = (np.array(values, np.float32) for values in IMAGENET)  # the official code's for CIFAR-10, too
    x = builder.add("input", Input(3, arch.size, arch.size, *constants))
    x = builder.chain(arch, x) if isinstance(arch, Vgg) else builder.residual(arch, x)
    about: dict[str, Any] = {"paper": PAPER} | builder.meta
    if isinstance(arch, Vgg) or arch.style != "cifar":
        about["widths"] = dict(PRECISION)
    if arch.classes == len(CIFAR_CLASSES):
        about["classes"] = list(CIFAR_CLASSES)
    return Graph(tuple(builder.nodes), x, about | meta).verify()


class _Builder(NodeBuilder):
    """Takes the arrays of a node when it adds it."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__({})
        self.arrays = arrays
        self.meta: dict[str, Any] = {}

    def real(self, at: str, x: str, outs: int, ins: int, kernel: int = 1, stride: int = 1, bias: bool = False) -> str:
        """A real convolution, or a dense layer with ``bias``."""
        weight = self.arrays.real(at, (outs, ins, kernel, kernel))
        added = self.arrays.vector(f"{at}.bias", outs, -0.2, 0.2) if bias else None
        return self.add(at, Conv(weight, added, stride, kernel // 2), x)

    def normed(self, at: str, x: str, channels: int, deviation: float | FloatArray = 1.0, mean: float = 0.0) -> str:
        """Batch norm of values with this mean (in deviations) and deviation."""
        return self.add(at, BatchNorm(*self.arrays.norm(at, channels, deviation, mean)), x)

    def binary(self, layer: Layer, x: str, scaled: bool = False) -> tuple[str, FloatArray]:
        """A binary convolution and the deviation of its result; ``scaled``: weights have a magnitude of their own."""
        sign, alpha = self.arrays.binary(layer, scaled)
        conv = BinaryConv(sign, alpha, 0 * alpha, layer.stride, 1)
        return self.add(f"{layer.at}conv", conv, x), alpha * np.float32((layer.ins * KERNEL * KERNEL) ** 0.5)

    def sign(self, at: str, x: str, channels: int, react: bool = False) -> str:
        """Binarisation at 0, or with ``react`` of the sum with a bias of each channel."""
        at = f"{at}sign"
        bias = self.arrays.vector(f"{at}.bias", channels, -0.4, 0.4) if react else np.zeros(channels, np.float32)
        return self.add(at, Binarize(-bias), x)

    def bend(self, at: str, x: str, channels: int, kind: str) -> str:
        """``prelu``, ``rprelu`` (between two biases) or ``tanh`` (Hardtanh)."""
        if kind == "tanh":
            return self.add(f"{at}tanh", Clamp(), x)
        if kind == "rprelu":
            x = self.moved(f"{at}bias_in", x, channels)
        slopes = self.arrays.vector(f"{at}prelu.weight", channels, 0.05, 0.6)
        x = self.add(f"{at}prelu", TwoSlope(np.ones(channels, np.float32), slopes), x)
        return self.moved(f"{at}bias_out", x, channels) if kind == "rprelu" else x

    def moved(self, at: str, x: str, channels: int) -> str:
        """A bias of each channel."""
        return self.add(at, Bias(self.arrays.vector(f"{at}.bias", channels, -0.2, 0.2)), x)

    def residual(self, arch: Backbone, x: str) -> str:
        """Stem, blocks, alignment, head of a residual network."""
        channels = [arch.stem, *arch.widths]
        if arch.style == "cifar" and channels != sorted(channels):
            raise BnnhwError(f"channels must not decrease where shortcuts have no weights, not {channels}")
        if arch.style == "imagenet":
            x, bend = self.photo_stem(arch, x), "rprelu" if arch.react else "prelu"
        else:
            bend = "rprelu" if arch.react else "tanh"
            x = self.normed("bn1", self.real("conv1", x, arch.stem, 3, KERNEL), arch.stem)
            x = self.bend("stem.", x, arch.stem, "tanh")
        layers = arch.layers()
        blocks = layers if arch.aligned is None else layers[:-1]
        for first in range(0, len(blocks), arch.span):
            x = self.block(arch, blocks[first : first + arch.span], bend, x)
        last = layers[-1]
        if arch.aligned is not None:
            bits = self.sign(last.at, x, last.ins)
            x = self.bend(last.at, self.convolved(last, bits, False), last.outs, "tanh")
        x = self.normed("bn2", self.add("avgpool", GlobalAvgPool(), x), last.outs)
        return self.real("fc", x, arch.classes, last.outs, bias=True)

    def photo_stem(self, arch: Backbone, x: str) -> str:
        """7x7 convolution, batch norm, PReLU, max pooling; then the channels are aligned, unless there are enough."""
        stem, wide = arch.stem, arch.widths[0]
        x = self.normed("bn1", self.real("conv1", x, stem, 3, 7, 2), stem)
        x = self.add("maxpool", MaxPool(3, 2, 1), self.bend("stem.", x, stem, "prelu"))
        if wide == stem:
            return x
        scaled = min(stem, wide)
        weight = np.eye(stem, dtype=np.float32)[np.arange(wide) % stem]
        weight[:scaled] *= self.arrays.vector("align_stem.conv.weight", stem, 0.5, 1.5)[:scaled, None]
        x = self.add("align_stem.conv", Conv(weight[:, :, None, None], weight_bits=1), x)
        self.meta["counted"] = {"align_stem.conv": scaled * arch.layers()[0].size ** 2}
        copies = wide - scaled
        parts = zip(self.arrays.norm("align_stem.bn", stem, *OF_STEM), (1, 0, 0, 1 - EPS), strict=True)
        gamma, beta, mean, variance = (np.append(part[:scaled], np.full(copies, same)) for part, same in parts)
        norm = BatchNorm(gamma, beta, mean, variance, EPS)
        return self.bend("align_stem.", self.add("align_stem.bn", norm, x), wide, "prelu")

    def convolved(self, layer: Layer, bits: str, scaled: bool, pooled: bool = False) -> str:
        """Binary convolution, max pooling if asked for, batch norm."""
        y, deviation = self.binary(layer, bits, scaled)
        mean = 0.0
        if pooled:
            y = self.add(f"{layer.at}maxpool", MaxPool(2, 2), y)
            deviation, mean = deviation * np.float32(OF_FOUR[1]), OF_FOUR[0] / OF_FOUR[1]
        return self.normed(f"{layer.at}bn", y, layer.outs, deviation, mean)

    def block(self, arch: Backbone, layers: list[Layer], bend: str, x: str) -> str:
        """Convolutions with one shortcut around them."""
        first, last = layers[0], layers[-1]
        y = self.sign(first.at, x, first.ins, arch.react)
        side = self.shortcut(arch, first, x)  # before the convolution: then x need not be kept beside its result
        for layer in layers:
            if layer is not first:
                y = self.sign(layer.at, self.bend(layer.at, y, layer.ins, bend), layer.ins, arch.react)
            y = self.convolved(layer, y, arch.react and arch.style == "imagenet")
        return self.bend(f"{last.at}out.", self.add(f"{last.at}add", Add(), y, side), last.outs, bend)

    def shortcut(self, arch: Backbone, layer: Layer, x: str) -> str:
        """The map of the block's beginning in the shape of its end."""
        at, ins, outs = layer.at, layer.ins, layer.outs
        if layer.stride == 1 and ins == outs:
            return x
        if arch.style == "cifar":
            return self.thin_shortcut(f"{at}shortcut", layer.stride, ins, outs, x)
        stride = layer.stride
        if arch.style == "imagenet" and stride == 2:
            x, stride = self.add(f"{at}down.pool", AvgPool(2, 2), x), 1
        return self.normed(f"{at}down.bn", self.real(f"{at}down.conv", x, outs, ins, 1, stride), outs)

    def chain(self, arch: Vgg, x: str) -> str:
        """Real convolution, binary convolutions, dense layers."""
        x = self.normed("conv0.bn", self.real("conv0", x, arch.stem, 3, KERNEL), arch.stem)
        x = self.bend("conv0.", x, arch.stem, "tanh")
        if 0 in arch.pooled:
            x = self.add("conv0.maxpool", MaxPool(2, 2), x)
        for number, layer in enumerate(arch.layers(), 1):
            bits = self.sign(layer.at, x, layer.ins)
            pooled = number in arch.pooled
            x = self.convolved(layer, bits, False, pooled and not arch.late)
            x = self.bend(layer.at, x, layer.outs, "tanh")
            if pooled and arch.late:
                x = self.add(f"{layer.at}maxpool", MaxPool(2, 2), x)
        left = arch.size >> len(arch.pooled)
        x, wide = self.add("flatten", Flatten(), x), arch.widths[-1] * left * left
        for number in (1, 2) if arch.hidden is not None else ():
            assert arch.hidden is not None
            x = self.real(f"hidden{number}", x, arch.hidden, wide, bias=True)
            wide = arch.hidden
            x = self.bend(f"hidden{number}.", self.normed(f"hidden{number}.bn", x, wide), wide, "tanh")
        return self.real("fc", x, arch.classes, wide, bias=True)


__all__ = ["build", "graph_of", "untrained"]
