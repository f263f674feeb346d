"""Torch definition of AdaBin's ResNets for CIFAR-10 with the parameter names of the official checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bnnhw.models.layers import AdaBinConv2d, MakeConv, Maxout, OptionA


class Projection(nn.Sequential):
    """Shortcut between stages: a real 1x1 convolution of every second pixel."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        super().__init__(conv, nn.BatchNorm2d(channels_out))


class Block(nn.Module):
    """Two convolutions of signs, each with batch norm, its own shortcut and a Maxout; ``projected``: the shortcut
    between stages is a `Projection`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, projected: bool, conv: MakeConv) -> None:
        super().__init__()
        self.conv1 = conv(channels_in, channels_out, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.nonlinear1 = Maxout(channels_out)
        self.conv2 = conv(channels_out, channels_out, stride=1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.nonlinear2 = Maxout(channels_out)
        same = stride == 1 and channels_in == channels_out
        other = Projection if projected else OptionA
        self.shortcut = nn.Identity() if same else other(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear1(self.bn1(self.conv1(x)) + self.shortcut(x))
        return self.nonlinear2(self.bn2(self.conv2(x)) + x)


class AdaBinResNet(nn.Module):
    """Normalised images (N, 3, 32, 32) -> scores (N, 10); ResNet-20 unless told otherwise.

    ``widths``, ``blocks``: channels and blocks of each stage, all but the first at half the size of the one before;
    ``conv``: another convolution, its signs included, in the place of AdaBin's.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (3, 3, 3),
        projected: bool = False,
        conv: MakeConv = AdaBinConv2d,
    ) -> None:
        super().__init__()
        channels = widths[0]
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.nonlinear1 = Maxout(channels)
        self.stages = len(widths)
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            layers = []
            for block in range(count):
                layers.append(Block(channels, width, 2 if stage and not block else 1, projected, conv))
                channels = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.bn2 = nn.BatchNorm1d(channels)
        self.linear = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear1(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(self.bn2(self.flatten(self.avgpool(x))))
