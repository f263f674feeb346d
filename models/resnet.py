"""Torch definition of small residual networks of binary 3x3 convolutions, each with its own shortcut and RPReLU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from bnnhw.models.layers import BinaryConv2d, OptionA, RPReLU, RSign, Sign

MakeConv = Callable[..., nn.Module]
"""(channels in, channels out, stride=) -> a convolution of a binary map, 3x3, padded by one."""


class Block(nn.Module):
    """rprelu(bn(conv(rsign(x))) + shortcut(x)) (ReActNet)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, conv: MakeConv) -> None:
        super().__init__()
        self.rsign = RSign(channels_in)
        self.conv = conv(channels_in, channels_out, stride=stride)
        self.bn = nn.BatchNorm2d(channels_out)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else OptionA(channels_in, channels_out, stride)
        self.rprelu = RPReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.rprelu(self.bn(self.conv(self.rsign(x))) + self.shortcut(x))


class Align(nn.Sequential):
    """One more binary convolution, that brings the last stage to as many channels as the dense layer takes (DWR)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers = Sign(), BinaryConv2d(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.Hardtanh()
        super().__init__(*layers)


class ResNet(nn.Module):
    """Normalised images (N, ``channels``, H, W) -> scores (N, ``classes``).

    ``stem``: channels of the first, real convolution; ``widths``, ``blocks``: channels and convolutions of each stage,
    all but the first at half the size of the one before; ``aligned``: channels that an `Align` ends in; ``normed``:
    batch norm before the dense layer.
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
        aligned: int | None = None,
        normed: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.rprelu1 = RPReLU(stem)
        layers: list[nn.Module] = []
        before = stem
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(before, width, 2 if stage and not block else 1, conv))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.align = nn.Identity() if aligned is None else Align(before, aligned)
        before = aligned or before
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.norm = nn.BatchNorm1d(before) if normed else nn.Identity()
        self.linear = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.align(self.blocks(self.rprelu1(self.bn1(self.conv1(x)))))
        return self.linear(self.norm(self.flatten(self.pool(x))))
