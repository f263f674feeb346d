"""What the recipes for CIFAR-10 share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from bnnhw.models.training.augment import flip_and_shift
from bnnhw.models.training.recipe import Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, which the official code of AdaBin and of DWR takes for CIFAR-10, too."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar(name: str, paper: str, network: Callable[[], nn.Module], **changes: Any) -> Recipe:
    """A recipe for 32x32 colour images, ten classes: Adam, bfloat16, images mirrored and shifted, small ones first; but
    for ``changes``."""
    options: dict[str, Any] = {"epochs": 32, "batch": 64, "rate": 2e-3, "warm_up": 0.05, "compiled": True}
    options |= {"half": True, "small": ((0.4, 16), (0.7, 24))}
    return Recipe(
        name=name,
        paper=paper,
        network=network,
        shape=(32, 32, 3),
        classes=CLASSES,
        mean=MEAN,
        std=STD,
        augment=flip_and_shift,
        **(options | changes),
    )
