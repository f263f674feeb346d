"""ftbnn_r20: ResNet-20 of grouped binary convolutions with a two-slope function, for CIFAR-10.

The network of the family whose widths are twice ResNet-20's in groups of 16 channels, about as many products.
"""

from __future__ import annotations

from torch import nn

from bnnhw.compiler.frontend.ftbnn import PAPER, Arch
from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.resnet import Bend, ResNet

ARCH = Arch((32, 64, 128), (6, 6, 6), 16, photographs=False, size=32, classes=10)


def convolution(channels_in: int, channels_out: int, *, stride: int) -> nn.Module:
    """In the architecture's groups."""
    return BinaryConv2d(channels_in, channels_out, stride=stride, groups=ARCH.groups(channels_in, channels_out))


def ftbnn_r20() -> ResNet:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    bend = Bend(ARCH.kind, ARCH.place)
    return ResNet(3, ARCH.widths[0], ARCH.widths, ARCH.blocks, convolution, bend=bend, gain=0.3)


RECIPE = cifar("ftbnn_r20", PAPER, ftbnn_r20, decay=0.2)
