"""A training recipe: the network, the data it learns from and how it learns, as data of one frozen class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bnnhw.compiler.ir import Graph

Augment = Callable[[Tensor], Tensor]


@runtime_checkable
class Described(Protocol):
    """A torch network that makes its float network itself: one with layers that `import_module` cannot trace."""

    def graph(self, *, mean: Sequence[float], std: Sequence[float], **meta: Any) -> Graph:
        """The float network for normalised images, with ``meta`` as its metadata."""


@dataclass(frozen=True)
class Recipe:
    """What ``bnnhw train`` does for one network.

    ``data``: data set that is taken where none is given, or None; ``shape``: (height, width, channels) of an image;
    ``mean``, ``std``: normalisation, fractions of 255, or None for those of the training images; ``rate``: highest
    learning rate, reached after ``warm_up`` (fraction of all steps) and brought to nearly 0 on a cosine; ``augment``:
    random change of a normalised batch (N, C, H, W); ``smoothing``: of the labels; ``teacher_share``: part of the loss
    that a teacher makes, where one is given (SNN and PokeBNN train on a teacher alone); ``threads``: torch's threads,
    None for as many as it has; ``compiled``: by torch.compile, which takes a minute and makes steps twice as fast;
    ``small``: (part of the steps, height and width), rising: until then images are brought to that size, which is most
    of the learning for less of the work (a teacher sees them whole); ``half``: convolutions and what follows them in
    bfloat16, weights and what they learn in float32; ``real``: part of the steps, the first ones, in
    which convolutions of binary maps multiply with real weights (the first of the two steps that SNN trains in);
    ``settled``: gradients are as sharp and codebooks as fixed as at the end, in all steps.
    """

    name: str
    paper: str
    network: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    epochs: int
    batch: int
    rate: float
    augment: Augment
    data: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    optimiser: Literal["adam", "sgd"] = "adam"
    decay: float = 0.0
    warm_up: float = 0.1
    smoothing: float = 0.0
    teacher_share: float = 1.0
    threads: int | None = None
    compiled: bool = False
    small: tuple[tuple[float, int], ...] = ()
    half: bool = False
    real: float = 0.0
    settled: bool = False

    def fine_tuning(self) -> Recipe:
        """The recipe whose steps are all as the last of this one."""
        return replace(self, small=(), real=0.0, settled=True)

    def compile(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """``forward``, compiled where ``compiled``: anew for each size of images, not once for all sizes."""
        return torch.compile(forward, dynamic=False) if self.compiled else forward

    def side(self, step: int, steps: int) -> int:
        """Height and width of the images of a step of ``steps``."""
        return next((side for until, side in self.small if step < until * steps), self.shape[0])
