"""Steps: which taps and channel groups the slots reduce in each word of depth, for every pair of bit planes.

A weight word holds one unit (tap, channel group) a slot. Groups go in blocks of at most ``slots``. Of a replicated map
the units of a block, tap by tap, fill the slots without gaps; of a spread map slot s is group s of the block.
Weight word of weight plane j and word w: j * words + w. Plane pairs are played by falling significance i + j, the
accumulators doubling from one significance to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnnhw.compiler.plan.places import BitPlace, ValuePlace
from bnnhw.spec.engine import InputConfig
from bnnhw.spec.network import Window

Unit = tuple[int, int]
"""Tap (dy * kernel + dx) and channel group of the whole map."""


@dataclass(frozen=True)
class Word:
    """One word of depth: a unit for each slot, or None. ``block``: groups block * slots and up; ``first`` of it."""

    block: int
    first: bool
    units: tuple[Unit | None, ...]


@dataclass(frozen=True)
class Read:
    """What one slot reads in a step; ``offset`` in source words, never negative."""

    dy: int = 0
    dx: int = 0
    offset: int = 0
    enabled: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a tile."""

    shift: bool
    weight: int
    reads: tuple[Read, ...]


def pack_units(kernel: int, groups: int, slots: int, spread: bool) -> list[Word]:
    """Words of one weight plane."""
    words: list[Word] = []
    taps = kernel * kernel
    for block in range(-(-groups // slots)):
        first, count = block * slots, min(slots, groups - block * slots)
        if spread:
            rows: list[list[Unit]] = [[(tap, first + g) for g in range(count)] for tap in range(taps)]
        else:
            units = [(tap, first + g) for tap in range(taps) for g in range(count)]
            rows = [units[i : i + slots] for i in range(0, len(units), slots)]
        for number, row in enumerate(rows):
            words.append(Word(block, number == 0, (*row, *[None] * (slots - len(row)))))
    return words


def significances(activation_planes: int, weight_planes: int) -> list[tuple[int, int, bool]]:
    """Pairs (activation plane, weight plane, double before) in the order they are played."""
    top = activation_planes + weight_planes - 2
    pairs = []
    for s in range(top, -1, -1):
        planes = [j for j in range(weight_planes) if 0 <= s - j < activation_planes]
        pairs += [(s - j, j, s != top and j == planes[0]) for j in planes]
    return pairs


def conv_steps(place: BitPlace, window: Window, words: Sequence[Word], weight_planes: int) -> tuple[Step, ...]:
    """Steps of a convolution on a map of the activation memory; tap (0, 0) of group 0 has offset 0."""
    steps = []
    for plane, weight_plane, double in significances(place.planes, weight_planes):
        for number, word in enumerate(words):
            reads = []
            for unit in word.units:
                if unit is None:
                    reads.append(Read())
                    continue
                dy, dx = divmod(unit[0], window.kernel)
                offset = dy * place.row + dx * place.cell + plane * place.q + place.group_offset(unit[1])
                reads.append(Read(dy, dx, offset, True))
            steps.append(Step(double and number == 0, weight_plane * len(words) + number, tuple(reads)))
    return tuple(steps)


def input_steps(config: InputConfig, slots: int, weight_planes: int) -> tuple[Step, ...]:
    """Steps of a convolution on the input windows."""
    steps = []
    for plane, weight_plane, double in significances(config.planes, weight_planes):
        for chunk in range(config.chunks):
            first = Read(0, 0, chunk * config.planes + plane, True)
            reads = (first, *[Read(enabled=True)] * (slots - 1))
            steps.append(Step(double and chunk == 0, weight_plane * config.chunks + chunk, reads))
    return tuple(steps)


def pool_steps(place: ValuePlace, window: Window, slots: int) -> tuple[Step, ...]:
    """Steps of a pooling window."""
    steps = []
    for tap in range(window.kernel**2):
        dy, dx = divmod(tap, window.kernel)
        reads = (Read(dy, dx, dy * place.row + dx * place.cell, True), *[Read()] * (slots - 1))
        steps.append(Step(False, 0, reads))
    return tuple(steps)


class StepTable:
    """All distinct step lists, one after the other."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._found: dict[tuple[Step, ...], int] = {}

    def add(self, steps: tuple[Step, ...]) -> int:
        """Index of the first step of this list."""
        if steps not in self._found:
            self._found[steps] = len(self.steps)
            self.steps += steps
        return self._found[steps]


__all__ = [
    "Read",
    "Step",
    "StepTable",
    "Unit",
    "Word",
    "conv_steps",
    "input_steps",
    "pack_units",
    "pool_steps",
    "significances",
]
