"""adabin_r20: AdaBin's ResNet-20 for CIFAR-10, with optimiser, rate and decay of the official code."""

from __future__ import annotations

from bnnhw.models.adabin import AdaBinResNet
from bnnhw.models.recipes.cifar import cifar

PAPER = "AdaBin, ECCV 2022, arXiv 2208.08084"
RECIPE = cifar("adabin_r20", PAPER, AdaBinResNet, optimiser="sgd", rate=0.1, decay=1e-4)
