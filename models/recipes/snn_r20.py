"""snn_r20: ResNet-20 with shortcuts around every sub-bit convolution (tau 5), for CIFAR-10."""

from __future__ import annotations

from functools import partial

from bnnhw.models.codebook import CodebookConv2d, Refinement
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.resnet import ResNet

REFINEMENT = Refinement(size=0.03, every=5, hysteresis=3e-5)
"""Words move within some ten thousand steps."""


def snn_r20() -> ResNet:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    return ResNet(3, 16, (16, 32, 64), (6, 6, 6), partial(CodebookConv2d, refinement=REFINEMENT), gain=0.3)


PAPER = "Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195"
DECAY = 1.0
"""A kernel that equals no codeword is drawn outwards for ever: without much decay it grows until no step changes its
codeword."""
RECIPE = cifar("snn_r20", PAPER, snn_r20, decay=DECAY)
