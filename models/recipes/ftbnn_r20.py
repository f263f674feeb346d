"""ftbnn_r20: ResNet-20 of grouped binary convolutions with a two-slope function, for CIFAR-10.

Our reading of FTBNN's abstract (group execution, tuned non-linearities): its tables are not public in code.
"""

from __future__ import annotations

from torch import nn

from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.resnet import Bend, ResNet

GROUP = 16
"""Channels of a group: twice as wide as ResNet-20, about as many products."""


def convolution(channels_in: int, channels_out: int, *, stride: int) -> nn.Module:
    """In groups of GROUP channels; where the number of channels changes, of all, so that groups mix."""
    groups = channels_out // GROUP if channels_in == channels_out else 1
    return BinaryConv2d(channels_in, channels_out, stride=stride, groups=groups)


def ftbnn_r20() -> ResNet:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    return ResNet(3, 32, (32, 64, 128), (6, 6, 6), convolution, bend=Bend("two_slope"), gain=0.3)


RECIPE = cifar("ftbnn_r20", "FTBNN, arXiv 2010.09294 (our reading of the abstract)", ftbnn_r20, decay=0.2)
