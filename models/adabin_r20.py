"""Torch definition of AdaBin's CIFAR-10 ResNet-20 with the parameter names of the official checkpoint."""

from __future__ import annotations

from torch import Tensor, nn

from bnnhw.models.layers import AdaBinConv2d, Maxout, OptionA

WIDTHS = (16, 32, 64)
BLOCKS = 3


class Block(nn.Module):
    """Two two-value convolutions, each with batch norm, its own shortcut and a Maxout."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = AdaBinConv2d(channels_in, channels_out, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.nonlinear1 = Maxout(channels_out)
        self.conv2 = AdaBinConv2d(channels_out, channels_out, 3)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.nonlinear2 = Maxout(channels_out)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else OptionA(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear1(self.bn1(self.conv1(x)) + self.shortcut(x))
        return self.nonlinear2(self.bn2(self.conv2(x)) + x)


class AdaBinResNet20(nn.Module):
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.nonlinear1 = Maxout(WIDTHS[0])
        channels = WIDTHS[0]
        for stage, width in enumerate(WIDTHS):
            blocks = [Block(channels if not b else width, width, 2 if stage and not b else 1) for b in range(BLOCKS)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.bn2 = nn.BatchNorm1d(channels)
        self.linear = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.bn2(self.flatten(self.avgpool(x))))
