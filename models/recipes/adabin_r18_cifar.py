"""adabin_r18_cifar: AdaBin's ResNet-18 for CIFAR-10, with optimiser, rate and decay of the official code."""

from __future__ import annotations

from functools import partial

from bnnhw.models.adabin import AdaBinResNet
from bnnhw.models.recipes.adabin_r20 import PAPER
from bnnhw.models.recipes.cifar import cifar

adabin_r18 = partial(AdaBinResNet, (64, 128, 256, 512), (2, 2, 2, 2), projected=True)
RECIPE = cifar("adabin_r18_cifar", PAPER, adabin_r18, optimiser="sgd", rate=0.1, decay=1e-4)
