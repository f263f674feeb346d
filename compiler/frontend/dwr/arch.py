"""Backbones of DWR as data: channels, convolutions of each stage, and what follows from them; the published ones.

Source: "Fast and Accurate Binary Neural Networks Based on Depth-Width Reshaping", AAAI 2023, doi
10.1609/aaai.v37i9.26268, and its official code (pingxue-hfut/DWR at 13e818d), from which all widths are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bnnhw.errors import BnnhwError

PAPER = "DWR, AAAI 2023, doi 10.1609/aaai.v37i9.26268"
KERNEL = 3
Style = Literal["imagenet", "cifar_pairs", "cifar"]


@dataclass(frozen=True)
class Layer:
    """A binary 3x3 convolution. ``size``: height and width of its result; ``at``: prefix of its nodes' names."""

    at: str
    ins: int
    outs: int
    size: int
    stride: int = 1

    @property
    def weights(self) -> int:
        return self.ins * self.outs * KERNEL * KERNEL

    @property
    def macs(self) -> int:
        return self.weights * self.size * self.size


class Layered:
    """What follows from a network's binary convolutions, all of an image."""

    def layers(self) -> list[Layer]:
        """The binary convolutions in order."""
        raise NotImplementedError

    @property
    def binary_macs(self) -> int:
        """Products of bits: the cost budget that reshaping and resizing keep."""
        return sum(layer.macs for layer in self.layers())

    @property
    def binary_weights(self) -> int:
        return sum(layer.weights for layer in self.layers())

    @property
    def activations(self) -> int:
        """Values that the binary convolutions produce."""
        return sum(layer.outs * layer.size**2 for layer in self.layers())


@dataclass(frozen=True)
class Backbone(Layered):
    """A residual backbone of binary 3x3 convolutions in stages, each stage on maps of half the size of the one before.

    ``widths``, ``depths``: channels and binary convolutions of each stage; ``size``: height and width of the image;
    ``stem``: channels of the real convolution before them; ``style`` what stands around them (`graph_of`):

    - ``imagenet``: a 7x7 stem with max pooling, a shortcut around every convolution (average pooling and a real 1x1
      convolution where a stage begins), PReLU; the stem's channels are aligned to the first stage's, if they differ;
    - ``cifar_pairs``: a 3x3 stem, a shortcut around every two, with a real 1x1 convolution where channels or size
      change, Hardtanh;
    - ``cifar``: the same stem, a shortcut around every one, without weights (option A), Hardtanh.

    ``react``: ReActNet's blocks, that is thresholds and biases of each channel, PReLU, and scaled weights; ``aligned``:
    channels that one more binary convolution brings the last stage to, None without one.

    Raises BnnhwError for numbers that are not positive, stages without a width, depths that the shortcuts do not
    divide, and a size that imagenet's stages do not halve evenly.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    size: int = 224
    stem: int = 64
    style: Style = "imagenet"
    react: bool = False
    aligned: int | None = None
    classes: int = 1000

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not self.widths:
            raise BnnhwError(
                f"widths and depths must have one number a stage each, not {len(self.widths)} and {len(self.depths)}"
            )
        for name in ("widths", "depths"):
            if min(getattr(self, name)) < 1:
                raise BnnhwError(f"{name} must be at least 1, not {min(getattr(self, name))}")
        if any(depth % self.span for depth in self.depths):
            raise BnnhwError(f"depths must be multiples of {self.span} for style {self.style}, not {self.depths}")
        for name in ("size", "stem", "aligned", "classes"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise BnnhwError(f"{name} must be at least 1, not {number}")
        whole = 4 << len(self.widths) - 1
        if self.style == "imagenet" and self.size % whole:
            raise BnnhwError(f"size must be a multiple of {whole} for {len(self.widths)} stages, not {self.size}")

    @property
    def span(self) -> int:
        """Convolutions that a shortcut leads around."""
        return 2 if self.style == "cifar_pairs" else 1

    @property
    def first(self) -> int:
        """Channels that the first binary convolution reads."""
        return self.widths[0] if self.style == "imagenet" else self.stem

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        before, size = self.first, self.size
        if self.style == "imagenet":
            size //= 4
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for index in range(depth):
                stride = 2 if stage and not index else 1
                size = -(-size // stride)
                found.append(Layer(f"layer{stage + 1}.{index}.", before, width, size, stride))
                before = width
        if self.aligned is not None:
            found.append(Layer("align.", before, self.aligned, size))
        return found

    def with_widths(self, widths: Sequence[int]) -> Backbone:
        """The same network with other channels."""
        return replace(self, widths=tuple(widths))


@dataclass(frozen=True)
class Vgg(Layered):
    """A chain of binary 3x3 convolutions without shortcuts, Hardtanh, max pooling.

    ``widths``: channels of the binary convolutions; ``pooled``: those after which the map is halved, 0 the real one
    before them; ``late``: pooled behind the Hardtanh, not before the batch norm; ``stem``: channels of the real
    convolution; ``hidden``: width of the two real hidden dense layers, None without them.

    Raises BnnhwError for numbers that are not positive.
    """

    widths: tuple[int, ...]
    pooled: tuple[int, ...]
    stem: int
    hidden: int | None = None
    late: bool = False
    size: int = 32
    classes: int = 10

    def __post_init__(self) -> None:
        numbers = [*self.widths, self.stem, self.hidden or 1, self.size >> len(self.pooled), self.classes]
        if not self.widths or min(numbers) < 1:
            raise BnnhwError(f"numbers of a Vgg must be at least 1, and its map must keep a pixel, not {self}")

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        before, size = self.stem, self.size >> (0 in self.pooled)
        for number, width in enumerate(self.widths, 1):
            found.append(Layer(f"conv{number}.", before, width, size))
            before, size = width, size >> (number in self.pooled)
        return found

    def with_widths(self, widths: Sequence[int]) -> Vgg:
        """The same network with other channels."""
        return replace(self, widths=tuple(widths))


Arch = Backbone | Vgg

_R18 = Backbone((64, 128, 256, 512), (4, 4, 4, 4))
_R20 = Backbone((16, 32, 64), (6, 6, 6), 32, 16, "cifar", classes=10)
_SMALL = Vgg((128, 256, 256, 512, 512), (1, 3, 5), 128)

ORIGINALS: dict[str, Arch] = {
    "r18": _R18,
    "cifar_r18": Backbone((64, 128, 256, 512), (4, 4, 4, 4), 32, 64, "cifar_pairs", classes=10),
    "r20": _R20,
    "vgg_small": _SMALL,
    "vgg_11": Vgg((128, 256, 256, 512, 512, 512, 512), (0, 1, 3, 5, 7), 64, 4096, late=True),
}
"""What was reshaped: the usual shapes, with stem and shortcuts of the official code."""

ARCHS: dict[str, Arch] = {
    "dwr_r18_plain": Backbone((96, 168, 378, 866), (2, 2, 2, 2)),
    "dwr_r18_react": Backbone((116, 188, 408, 910), (2, 2, 2, 2), react=True),
    "dwr_cifar_r18": Backbone((120, 222, 290, 458), (2, 2, 2, 2), 32, 64, "cifar_pairs", classes=10),
    "dwr_r20_plain": Backbone((16, 78, 134), (2, 2, 2), 32, 16, "cifar", aligned=64, classes=10),
    "dwr_r20_react": Backbone((30, 86, 154), (2, 2, 2), 32, 16, "cifar", react=True, aligned=64, classes=10),
    "dwr_vgg_small": Vgg((106, 252, 256, 512, 512, 512), (1, 3, 5), 128),
    "dwr_vgg_small_sd": Vgg((128, 256, 230, 512, 472, 512), (1, 3, 5), 128),
    "dwr_vgg_11": Vgg((144, 390, 842, 418, 512), (0, 1, 2, 3, 5), 64, 4096, late=True),
}
"""The published networks; the last convolution of each VGG keeps the dense layers as they were. The CIFAR-10 ResNet-18
for SD-BNN has the widths of ``dwr_cifar_r18``."""

__all__ = ["ARCHS", "ORIGINALS", "PAPER", "Arch", "Backbone", "Layer", "Layered", "Vgg"]
