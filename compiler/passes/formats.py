"""Chooses the number of fraction bits of every layer's v and y."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnnhw.compiler.passes.draft import Draft


@dataclass(frozen=True)
class Widths:
    """Bits of numbers in the engine. ``value``: every stored value and score. ``factor``: signed operand of a
    multiplier, which holds a slope, or twice the factor of X or A.
    """

    value: int = 18
    factor: int = 18

    @property
    def scale_limit(self) -> int:
        """Largest magnitude of the factor of X or A."""
        return (1 << self.factor - 2) - 1

    @property
    def slope_limit(self) -> int:
        """Largest magnitude of a slope."""
        return (1 << self.factor - 1) - 1


GATE_EXTRA = 2
"""Fraction bits that the slope's result has more than y where a gate follows: it is rounded twice."""


@dataclass(frozen=True)
class Frac:
    """Fraction bits of v (after the affine step and the residual), of y (what is published), and of the slope's result,
    which are y's unless a gate follows."""

    v: int
    y: int
    slope: int


class _Groups:
    """Union-find over the v and y of all layers: members of a group have the same fraction bits."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, x: int) -> int:
        while self.parent[x] != x:
            x = self.parent[x]
        return x

    def join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        self.parent[max(a, b)] = min(a, b)


def fraction_for(low: float, high: float, width: int) -> int:
    """Most fraction bits with which [low, high] fits into a signed number of ``width`` bits."""
    if low >= 0 and high <= 0:
        return width - 1
    limits = [math.log2(((1 << width - 1) - 1) / high)] if high > 0 else []
    limits += [math.log2((1 << width - 1) / -low)] if low < 0 else []
    return math.floor(min(limits) + 1e-12)


def choose(drafts: Sequence[Draft], ranges: Mapping[str, Sequence[float]], widths: Widths) -> list[Frac]:
    """Fraction bits such that ranges fit, residuals agree with what they are added to, and factors fit their widths."""
    maker = {draft.tail: i for i, draft in enumerate(drafts) if draft.value}
    groups = _Groups(2 * len(drafts))  # 2 * i is v of layer i, 2 * i + 1 its y
    for i, draft in enumerate(drafts):
        if draft.residual is not None:
            groups.join(2 * i + draft.late, 2 * maker[draft.residual.tensor] + 1)
        if draft.second is not None:
            groups.join(2 * i, 2 * maker[draft.second.tensor] + 1)
        if draft.pos is None:
            groups.join(2 * i, 2 * i + 1)
    gates = sorted({maker[draft.gate] for draft in drafts if draft.gate is not None})
    for i in gates[1:]:  # one shift for all
        groups.join(2 * gates[0] + 1, 2 * i + 1)
    frac: dict[int, int] = {}
    stored = {groups.find(2 * i + 1) for i, draft in enumerate(drafts) if draft.value}
    for i, draft in enumerate(drafts):
        root = groups.find(2 * i + 1)
        if draft.value or root not in stored:
            frac[root] = min(frac.get(root, 99), fraction_for(*_range(draft, ranges), widths.value))
    frac |= {groups.find(2 * i + 1): 0 for i, draft in enumerate(drafts) if draft.whole}
    for i in range(len(drafts)):
        root = groups.find(2 * i)
        if root not in frac:
            low, high = _range(drafts[i], ranges)
            frac[root] = fraction_for(low, high, max(widths.value, 18))
    _limit(drafts, groups, frac, maker, widths)
    fracs = [(frac[groups.find(2 * i)], frac[groups.find(2 * i + 1)]) for i in range(len(drafts))]
    return [Frac(v, y, y + _extra(draft)) for draft, (v, y) in zip(drafts, fracs, strict=True)]


def _extra(draft: Draft) -> int:
    return 0 if draft.gate is None else GATE_EXTRA


def _range(draft: Draft, ranges: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Range of a layer's y. Bits alone need only what lies around their thresholds: y saturates elsewhere."""
    if draft.codes is not None:
        return 0.0, float((1 << draft.codes[1].bits) - 1)
    low, high = (float(x) for x in ranges[draft.tail])
    low, high = max(low, draft.low), min(high, draft.high)
    if draft.bits is not None and not draft.value:
        near = np.abs(draft.bits[1])[np.abs(draft.bits[1]) < max(abs(low), abs(high))]
        reach = max(2 * float(near.max(initial=0.0)), max(abs(low), abs(high)) / 64)
        low, high = max(low, -reach), min(high, reach)
    return low, high


def _limit(
    drafts: Sequence[Draft], groups: _Groups, frac: dict[int, int], maker: Mapping[str, int], widths: Widths
) -> None:
    """Takes fraction bits away until every factor fits with a shift of 0 or more."""
    changed = True
    while changed:
        changed = False
        for i, draft in enumerate(drafts):
            v, y = groups.find(2 * i), groups.find(2 * i + 1)
            source = frac[groups.find(2 * maker[draft.source] + 1)] if draft.mac is None else 0
            largest = max(np.abs(draft.scale).max(), 0 if draft.sum_scale is None else np.abs(draft.sum_scale).max())
            if largest * 2.0 ** (frac[v] - source) > widths.scale_limit:
                frac[v], changed = frac[v] - 1, True
            slopes = 0.0 if draft.pos is None or draft.neg is None else np.abs([draft.pos, draft.neg]).max()
            if slopes * 2.0 ** (frac[y] + _extra(draft) - frac[v]) > widths.slope_limit:
                frac[y], changed = frac[y] - 1, True
