"""snn_digits on the training part of scikit-learn's handwritten digits: minutes on one core."""

from __future__ import annotations

from collections.abc import Sequence

from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.resnet import ResNet
from bnnhw.models.training.augment import turn_scale_shift
from bnnhw.models.training.recipe import Recipe


def snn_digits(widths: Sequence[int] = (32, 64), blocks: Sequence[int] = (2, 2)) -> ResNet:
    """Normalised images (N, 1, 8, 8) -> scores (N, 10); sub-bit convolutions with tau 5."""
    return ResNet(1, widths[0], widths, blocks, CodebookConv2d)


RECIPE = Recipe(
    name="snn_digits",
    paper="Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195",
    network=snn_digits,
    shape=(8, 8, 1),
    classes=tuple(str(digit) for digit in range(10)),
    data="digits:train",
    epochs=150,
    batch=64,
    rate=4e-3,
    augment=turn_scale_shift,
    smoothing=0.05,
    threads=1,
)
