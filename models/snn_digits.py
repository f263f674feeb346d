"""Torch definition of snn_digits: a residual network of sub-bit convolutions for 8x8 handwritten digits."""

from __future__ import annotations

from torch import Tensor, nn

from bnnhw.models.layers import CodebookConv2d, OptionA, RPReLU, RSign

WIDTHS = (32, 64)
BLOCKS = (2, 2)
TAU = 5


class Block(nn.Module):
    """One sub-bit 3x3 convolution with its own shortcut: rprelu(bn(conv(rsign(x))) + shortcut(x))."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1, tau: int = TAU) -> None:
        super().__init__()
        self.rsign = RSign(channels_in)
        self.conv = CodebookConv2d(channels_in, channels_out, tau, stride=stride)
        self.bn = nn.BatchNorm2d(channels_out)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else OptionA(channels_in, channels_out, stride)
        self.rprelu = RPReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.rprelu(self.bn(self.conv(self.rsign(x))) + self.shortcut(x))


class SnnDigits(nn.Module):
    """Normalised images (N, 1, 8, 8) -> scores (N, 10): a stem, two stages of blocks, pooling, one dense layer."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, blocks: tuple[int, ...] = BLOCKS, tau: int = TAU) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.rprelu1 = RPReLU(widths[0])
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(channels, width, 2 if stage and not block else 1, tau))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rprelu1(self.bn1(self.conv1(x)))
        return self.linear(self.flatten(self.pool(self.blocks(x))))
