"""dwr_r20: ResNet-20 with ReActNet's blocks, reshaped to a third of the depth (s = 3), for CIFAR-10."""

from __future__ import annotations

from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.resnet import ResNet


def dwr_r20() -> ResNet:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    return ResNet(3, 16, (30, 86, 154), (2, 2, 2), BinaryConv2d, aligned=64, normed=True, gain=0.3)


RECIPE = cifar("dwr_r20", "DWR, AAAI 2023, doi 10.1609/aaai.v37i9.26268", dwr_r20)
