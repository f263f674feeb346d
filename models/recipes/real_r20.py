"""real_r20: the ordinary ResNet-20 without any binary layer, for CIFAR-10: a teacher of the others."""

from __future__ import annotations

from torch import Tensor, nn

from bnnhw.models.layers import OptionA
from bnnhw.models.recipes.cifar import cifar

WIDTHS = (16, 32, 64)
BLOCKS = 3


class Block(nn.Module):
    """Two convolutions with one shortcut around both."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.relu2 = nn.ReLU()
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else OptionA(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


def real_r20() -> nn.Module:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()]
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(BLOCKS):
            layers.append(Block(before, width, 2 if stage and not block else 1))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


RECIPE = cifar("real_r20", "ResNet, CVPR 2016, arXiv 1512.03385", real_r20, optimiser="sgd", rate=0.1, decay=1e-4)
