"""snn_r20: AdaBin's ResNet-20 for CIFAR-10 with sub-bit kernels (tau 5) in the place of two-value ones.

What SNN's authors trained on CIFAR-10 is not public in code. With the rest of the network that of `adabin_r20`, the two
differ by what the kernels are, and one can begin with the other's weights (``--start adabin_r20``).
"""

from __future__ import annotations

from torch import nn

from bnnhw.models.adabin import AdaBinResNet
from bnnhw.models.codebook import CodebookConv2d, Refinement
from bnnhw.models.layers import SHARPNESS, AdaBinActivation
from bnnhw.models.recipes.cifar import cifar

REFINEMENT = Refinement(size=0.03, every=5)
"""Words move within some ten thousand steps."""


def convolution(channels_in: int, channels_out: int, *, stride: int) -> nn.Module:
    """AdaBin's activations, SNN's kernels."""
    conv = CodebookConv2d(channels_in, channels_out, stride=stride, sharpen=SHARPNESS, refinement=REFINEMENT)
    return nn.Sequential(AdaBinActivation(), conv)


def snn_r20() -> AdaBinResNet:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    return AdaBinResNet(conv=convolution)


PAPER = "Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195"
RECIPE = cifar("snn_r20", PAPER, snn_r20, optimiser="sgd", rate=0.1, decay=1e-4)
