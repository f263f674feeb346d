"""snn_vgg: VGG-small with sub-bit convolutions (tau 5), for CIFAR-10. The paper's own code for it is not public."""

from __future__ import annotations

from functools import partial

from torch import nn

from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.layers import RPReLU, RSign
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.vgg import VggSmall


def binary(channels_in: int, channels_out: int) -> nn.Module:
    """RSign and sub-bit convolution, as in the residual networks of the official code."""
    return nn.Sequential(RSign(channels_in), CodebookConv2d(channels_in, channels_out))


snn_vgg = partial(VggSmall, binary, RPReLU)
PAPER = "Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195"
RECIPE = cifar("snn_vgg", PAPER, snn_vgg, small=())
