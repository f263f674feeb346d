"""Torch definition of small residual networks of binary 3x3 convolutions, each with its own shortcut and bend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bnnhw.compiler.frontend.ftbnn import Kind, Place
from bnnhw.models.layers import BinaryConv2d, MakeConv, Maxout, OptionA, RPReLU, RSign, Sign

KINDS: dict[Kind, Callable[[int], nn.Module]] = {
    "prelu": nn.PReLU,
    "two_slope": Maxout,
    "rprelu": RPReLU,
    "none": lambda channels: nn.Identity(),
}


@dataclass(frozen=True)
class Bend:
    """A block's non-linearity. ``kind``: one learned slope, two, one between two biases, or none; ``place``: before
    batch norm, behind it, or behind the sum with the shortcut."""

    kind: Kind = "rprelu"
    place: Place = "after_add"

    def at(self, place: Place, channels: int) -> nn.Module:
        """What stands at ``place``."""
        return KINDS[self.kind if place == self.place else "none"](channels)


REACTNET = Bend()


class Block(nn.Module):
    """A binary convolution with a shortcut of its own; as ReActNet has it, unless ``bend`` is another:
    rprelu(bn(conv(rsign(x))) + shortcut(x)). ``pooled``: the shortcut between stages is a `Pooled`."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, conv: MakeConv, bend: Bend, pooled: bool = False
    ) -> None:
        super().__init__()
        self.rsign = RSign(channels_in)
        self.conv = conv(channels_in, channels_out, stride=stride)
        self.before_norm = bend.at("before_norm", channels_out)
        self.bn = nn.BatchNorm2d(channels_out)
        self.before_add = bend.at("before_add", channels_out)
        same = stride == 1 and channels_in == channels_out
        other = Pooled(channels_in, channels_out) if pooled else OptionA(channels_in, channels_out, stride)
        self.shortcut = nn.Identity() if same else other
        self.after_add = bend.at("after_add", channels_out)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before_add(self.bn(self.before_norm(self.conv(self.rsign(x)))))
        return self.after_add(y + self.shortcut(x))


class Pooled(nn.Sequential):
    """Shortcut at half the size: a real 1x1 convolution behind average pooling."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        super().__init__(nn.AvgPool2d(2), conv, nn.BatchNorm2d(channels_out))


class Align(nn.Sequential):
    """One more binary convolution, that brings the last stage to as many channels as the dense layer takes (DWR)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers = Sign(), BinaryConv2d(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.Hardtanh()
        super().__init__(*layers)


class ResNet(nn.Module):
    """Normalised images (N, ``channels``, H, W) -> scores (N, ``classes``).

    ``stem``: channels of the first, real convolution; ``widths``, ``blocks``: channels and convolutions of each stage,
    all but the first at half the size of the one before; ``bend``: the blocks' non-linearity; ``aligned``: channels
    that an `Align` ends in; ``normed``: batch norm before the dense layer; ``photographs``: as networks for ImageNet
    begin, with a 7x7 convolution and a max pool at a quarter of the size, and with `Pooled` shortcuts; ``gain``: that
    the blocks' batch norms begin with. Every block adds to the map, and a sign learns only from what is smaller than
    its bound: with less than 1 a deep network learns sooner.
    """

    def __init__(
        self,
        channels: int,
        stem: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        conv: MakeConv,
        *,
        classes: int = 10,
        bend: Bend = REACTNET,
        aligned: int | None = None,
        normed: bool = False,
        photographs: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        kernel, stride = (7, 2) if photographs else (3, 1)
        self.conv1 = nn.Conv2d(channels, stem, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.rprelu1 = nn.Identity() if photographs else RPReLU(stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if photographs else nn.Identity()
        layers: list[Block] = []
        before = stem
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(before, width, 2 if stage and not block else 1, conv, bend, photographs))
                nn.init.constant_(layers[-1].bn.weight, gain)
                before = width
        self.blocks = nn.Sequential(*layers)
        self.align = nn.Identity() if aligned is None else Align(before, aligned)
        before = aligned or before
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.norm = nn.BatchNorm1d(before) if normed else nn.Identity()
        self.linear = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.align(self.blocks(self.maxpool(self.rprelu1(self.bn1(self.conv1(x))))))
        return self.linear(self.norm(self.flatten(self.pool(x))))
