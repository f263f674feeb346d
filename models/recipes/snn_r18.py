"""snn_r18: ResNet-18 with shortcuts around every sub-bit convolution (tau 5), for a folder of ImageNet's photographs.

The official code learns from a ResNet-34 alone (``--teacher``), in two steps of 256 epochs; here they are the
halves of one training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.recipes.cifar import MEAN, STD
from bnnhw.models.resnet import ResNet
from bnnhw.models.training.augment import flip_and_shift
from bnnhw.models.training.recipe import Recipe

CLASSES = 1000


def snn_r18(
    widths: Sequence[int] = (64, 128, 256, 512), blocks: Sequence[int] = (4, 4, 4, 4), classes: int = CLASSES
) -> ResNet:
    """Normalised images (N, 3, 224, 224) -> scores (N, 1000)."""
    return ResNet(3, widths[0], widths, blocks, CodebookConv2d, classes=classes, photographs=True)


RECIPE = Recipe(
    name="snn_r18",
    paper="Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195",
    network=snn_r18,
    shape=(224, 224, 3),
    classes=tuple(str(number) for number in range(CLASSES)),
    epochs=512,
    batch=512,
    rate=1e-3,
    mean=MEAN,
    std=STD,
    augment=partial(flip_and_shift, most=0),
    compiled=True,
    real=0.5,
)
