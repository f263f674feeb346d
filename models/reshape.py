"""DWR's reshaping: a residual backbone made shallower and wider, or of other widths, within its budget of products.

Source: DWR, AAAI 2023, doi 10.1609/aaai.v37i9.26268: a depth of 1/s costs as much with widths of sqrt(s), and has
sqrt(s) fewer activations (abstract); the rule for whole numbers follows the depths of the official code, which has no
code for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from bnnhw.compiler.frontend.dwr import Backbone, Vgg
from bnnhw.errors import BnnhwError

A = TypeVar("A", Backbone, Vgg)
STEPS = 80
"""Halvings of an interval of factors: finer than the numbers between which a width changes."""


def reshape(backbone: Backbone, s: float, *, naive: bool = False) -> Backbone:
    """The backbone with 1/``s`` of each stage's depth and all widths some sqrt(s) as large, for the same budget.

    Depths are rounded to whole shortcuts. Widths grow by one factor, the largest with which the products of bits
    (`Backbone.binary_macs`) do not exceed those of ``backbone``; with ``naive`` by exactly sqrt(s), rounded down, which
    is the network that the paper trains before it prunes: it leaves some of the budget, since the first convolution of
    a stage grows by less than the others would, or exceeds it by an alignment. Stem and dense layer keep their
    interface: the stem's channels are aligned (style imagenet), or the last stage's by one more binary convolution, as
    in the published ResNet-20 (style cifar); other dense layers take the wider map. s = 1, or one that rounding leaves
    without effect on any depth, is the identity.

    Raises BnnhwError: no residual backbone; s not in 1 .. shortcuts of the shallowest stage.
    """
    if not isinstance(backbone, Backbone):
        raise BnnhwError(f"backbone must be a residual one (Backbone), not {type(backbone).__name__}")
    span = backbone.span
    most = min(backbone.depths) // span
    if not 1 <= s <= most:
        raise BnnhwError(f"s must be in 1..{most} for depths {backbone.depths} in steps of {span}, not {s}")
    depths = tuple(max(1, round(depth / span / s)) * span for depth in backbone.depths)
    if s == 1 or (depths == backbone.depths and not naive):
        return backbone
    aligned = backbone.aligned or backbone.widths[-1] if backbone.style == "cifar" else backbone.aligned
    shallow = replace(backbone, depths=depths, aligned=aligned)
    if naive:
        return shallow.with_widths(_scaled(backbone.widths, s**0.5))
    return fit(shallow, backbone.binary_macs)


def fit(arch: A, budget: int) -> A:
    """The network with all widths times one factor, the largest that leaves its products of bits at most ``budget``.

    What keeps an interface stays: the stem, a Backbone's ``aligned``, the last convolution of a Vgg. Widths are rounded
    down, and at least 1.

    Raises BnnhwError where even widths of 1 exceed the budget.
    """
    widths = free_widths(arch)

    def affordable(factor: float) -> bool:
        return with_free_widths(arch, _scaled(widths, factor)).binary_macs <= budget

    low, high = 0.0, 1.0
    if not affordable(low):
        least = with_free_widths(arch, [1] * len(widths)).binary_macs
        raise BnnhwError(f"budget must be at least {least} products, those of widths of 1, not {budget}")
    while affordable(high):
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if affordable(middle) else (low, middle)
    return with_free_widths(arch, _scaled(widths, low))


def free_widths(arch: Backbone | Vgg) -> tuple[int, ...]:
    """Widths that reshaping may change: of a Backbone's stages, of a Vgg's convolutions but the last."""
    return arch.widths if isinstance(arch, Backbone) else arch.widths[:-1]


def with_free_widths(arch: A, widths: Sequence[int]) -> A:
    """The network with these in their place."""
    return arch.with_widths([*widths, *arch.widths[len(free_widths(arch)) :]])


def _scaled(widths: Sequence[int], factor: float) -> list[int]:
    return [max(1, int(width * factor)) for width in widths]


__all__ = ["fit", "free_widths", "reshape", "with_free_widths"]
