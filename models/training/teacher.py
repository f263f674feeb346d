"""A saved network as the teacher of another: its scores for a batch of training images, and the loss they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.compiler.frontend.torch_exec import Forward
from bnnhw.errors import BnnhwError
from bnnhw.models.catalogue import load
from bnnhw.models.training.recipe import Recipe


class Teacher:
    """The float network ``name`` (of the catalogue, or a .bnn file), for images normalised as the pupil has them.

    Raises BnnhwError for a network of other images or classes than the recipe's.
    """

    def __init__(self, name: str | Path, recipe: Recipe) -> None:
        self.name = Path(name).name
        self.graph = load(name)
        height, width, channels = recipe.shape
        _, *size = self.graph.shapes()[self.graph.input.name]
        found = (*size, self.graph.shapes()[self.graph.input.name][0], self.graph.shapes()[self.graph.output][0])
        if found != (height, width, channels, len(recipe.classes)):
            raise BnnhwError(
                f"teacher {name} must take images of {height}x{width}x{channels} in {len(recipe.classes)} classes for "
                f"{recipe.name}, not of {found[0]}x{found[1]}x{found[2]} in {found[3]}"
            )
        self._recipe = recipe
        self._forward: Callable[[Tensor], Tensor] | None = None

    def identity(self) -> str:
        """What another network of the same name has different."""
        return f"{self.name} {self.graph.digest()}"

    def probabilities(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """What the teacher takes each class for (N, classes); ``images`` (N, C, H, W) are (pixel - mean) / std."""
        if self._forward is None:
            self._forward = self._recipe.compile(Forward(self.graph, torch.float32, images.device).__call__)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._recipe.half):
            scores = self._forward(images.float() * std + mean)
        return scores.float().softmax(dim=1)


def loss(scores: Tensor, labels: Tensor, taught: Tensor | None, recipe: Recipe) -> Tensor:
    """Cross entropy with the labels, or where there is a teacher in parts of ``recipe.teacher_share`` with what it
    says."""
    if taught is None:
        return F.cross_entropy(scores, labels, label_smoothing=recipe.smoothing)
    total = recipe.teacher_share * F.cross_entropy(scores, taught)
    if recipe.teacher_share < 1:
        own = F.cross_entropy(scores, labels, label_smoothing=recipe.smoothing)
        total = total + (1 - recipe.teacher_share) * own
    return total
