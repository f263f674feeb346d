"""pokebnn_cifar: three stages of PokeConv bottlenecks for CIFAR-10, patches of 2x2 pixels."""

from __future__ import annotations

from bnnhw.compiler.frontend.pokebnn import CIFAR, PAPER
from bnnhw.models.pokebnn import PokeBnn
from bnnhw.models.recipes.cifar import cifar


def pokebnn_cifar() -> PokeBnn:
    """Normalised images (N, 3, 32, 32) -> scores (N, 10)."""
    return PokeBnn(CIFAR)


RECIPE = cifar("pokebnn_cifar", PAPER, pokebnn_cifar)
