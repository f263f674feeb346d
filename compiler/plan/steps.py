"""Steps: which taps and channel groups the slots reduce in each word of depth, for every pair of bit planes.

A weight word holds one unit (tap, channel group) a slot. Groups go in blocks of at most ``slots``. Of a replicated map
the units of a block, tap by tap, fill the slots without gaps; of a spread map slot s is group s of the block.
Weight word of weight plane j and word w: j * words + w. Plane pairs are played by falling significance i + j, the
accumulators doubling from one significance to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

from bnnhw.compiler.plan.places import BitPlace, ValuePlace
from bnnhw.spec.engine import InputConfig
from bnnhw.spec.network import Pool, Window

T = TypeVar("T")

Unit = tuple[int, int]
"""Tap (dy * kernel + dx) and channel group of the whole map."""


class Word(NamedTuple):
    """One word of depth: a unit for each slot, or None. ``block``: groups block * slots and up; ``first`` of it."""

    block: int
    first: bool
    units: tuple[Unit | None, ...]


class Read(NamedTuple):
    """What one slot reads in a step; ``offset`` in source words, never negative."""

    dy: int = 0
    dx: int = 0
    offset: int = 0
    enabled: bool = False


class Step(NamedTuple):
    """One step of a tile."""

    shift: bool
    weight: int
    reads: tuple[Read, ...]
    part: int = 0
    """Of a folded pool: which of the words whose channels are summed."""

    @property
    def alike(self) -> bool:
        """The first slot reads, and all others that do read the same as it."""
        return {self.reads[0]} == {read for read in self.reads if read.enabled}


@cache
def pack_units(kernel: int, groups: int, slots: int, spread: bool) -> tuple[Word, ...]:
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
    return tuple(words)


def significances(activation_planes: int, weight_planes: int) -> list[tuple[int, int, bool]]:
    """Pairs (activation plane, weight plane, double before) in the order they are played."""
    pairs = [(i + j, (i, j)) for j in range(weight_planes) for i in range(activation_planes)]
    return [(i, j, double) for double, (i, j) in _falling(pairs)]


def _falling(found: Iterable[tuple[int, T]]) -> list[tuple[bool, T]]:
    """What is played at each significance, from the highest down, with whether the accumulators double before it."""
    played = sorted(found, key=lambda item: -item[0])
    return [(n > 0 and played[n - 1][0] != s, item) for n, (s, item) in enumerate(played)]


class InputPair(NamedTuple):
    """What a step on the input windows multiplies: part q is image plane group * parts + q with weight plane
    word - q, where ``used``; all have the same significance, and one popcount adds them. ``row``: weight word."""

    group: int
    row: int
    used: tuple[bool, ...]


def input_pairs(config: InputConfig, weight_planes: int) -> list[tuple[bool, InputPair]]:
    """(double before, pair) in the order they are played. A last group of fewer parts has weight words of its own,
    after the others."""
    parts, words = config.parts, weight_planes + config.parts - 1
    found: list[tuple[int, InputPair]] = []
    for group in range(config.groups):
        mine = config.last_parts if group == config.groups - 1 else parts
        for word in range(words):
            used = tuple(q < mine and 0 <= word - q < weight_planes for q in range(parts))
            pair = InputPair(group, word if mine == parts else words + word, used)
            found += [(group * parts + word, pair)] if any(used) else []
    return _falling(found)


def input_words(config: InputConfig, weight_planes: int) -> list[dict[int, int]]:
    """Weight words of one chunk: the weight plane of each part that has one."""
    kinds = [config.parts] + [config.last_parts] * (config.last_parts < config.parts)
    return [
        {q: word - q for q in range(parts) if 0 <= word - q < weight_planes}
        for parts in kinds
        for word in range(weight_planes + parts - 1)
    ]


class StepTable:
    """All distinct step lists, one after the other; made only when they are asked for."""

    def __init__(self) -> None:
        self.count = 0
        self._makers: list[Callable[[], tuple[Step, ...]]] = []
        self._first: dict[Hashable, int] = {}

    def add(self, key: Hashable, count: int, make: Callable[[], tuple[Step, ...]]) -> int:
        """Index of the first step of a list of ``count`` steps; lists with the same key are the same."""
        if key not in self._first:
            self._first[key] = self.count
            self._makers.append(make)
            self.count += count
        return self._first[key]

    def steps(self) -> list[Step]:
        """The lists, in the order in which they were added."""
        steps = [step for make in self._makers for step in make()]
        assert len(steps) == self.count
        return steps


def add_conv(table: StepTable, place: BitPlace, window: Window, words: Sequence[Word], planes: int) -> tuple[int, int]:
    """(first, count) of the steps of a convolution on a map of the activation memory, ``planes`` weight planes."""
    key = ("conv", window.kernel, words, place.row, place.cell, place.planes, place.q, planes)
    count = len(words) * place.planes * planes
    return table.add(key, count, lambda: conv_steps(place, window, words, planes)), count


def conv_steps(place: BitPlace, window: Window, words: Sequence[Word], weight_planes: int) -> tuple[Step, ...]:
    """Steps of a convolution; tap (0, 0) of group 0 has offset 0."""
    steps = []
    row, cell, q = place.row, place.cell, place.q
    for plane, weight_plane, double in significances(place.planes, weight_planes):
        for number, word in enumerate(words):
            reads = []
            for unit in word.units:
                if unit is None:
                    reads.append(Read())
                    continue
                dy, dx = divmod(unit[0], window.kernel)
                offset = dy * row + dx * cell + plane * q + place.group_offset(unit[1])
                reads.append(Read(dy, dx, offset, True))
            steps.append(Step(double and number == 0, weight_plane * len(words) + number, tuple(reads)))
    return tuple(steps)


def add_input(table: StepTable, config: InputConfig, slots: int, planes: int) -> tuple[int, int]:
    """(first, count) of the steps of a convolution on the input windows."""
    count = config.chunks * len(input_pairs(config, planes))
    return table.add(("input", planes), count, lambda: input_steps(config, slots, planes)), count


def input_steps(config: InputConfig, slots: int, weight_planes: int) -> tuple[Step, ...]:
    """Steps of a convolution on the input windows; slot q says whether part q is in use."""
    steps = []
    for double, pair in input_pairs(config, weight_planes):
        for chunk in range(config.chunks):
            enabled = [Read(enabled=part) for part in pair.used]
            first = enabled[0]._replace(offset=chunk * config.groups + pair.group)
            reads = (first, *enabled[1:], *[Read()] * (slots - config.parts))
            steps.append(Step(double and chunk == 0, pair.row * config.chunks + chunk, reads))
    return tuple(steps)


def add_pool(table: StepTable, place: ValuePlace, layer: Pool, slots: int) -> tuple[int, int]:
    """(first, count) of the steps of a pooling window."""
    weighted, count = layer.weight is not None, layer.window.kernel**2 * layer.fold
    key = ("pool", layer.window.kernel, place.row, place.cell, layer.fold, weighted)
    return table.add(key, count, lambda: pool_steps(place, layer, slots)), count


def pool_steps(place: ValuePlace, layer: Pool, slots: int) -> tuple[Step, ...]:
    """Steps of a pooling window, tap by tap and in each the words whose channels are summed; only slot 0 counts."""
    steps = []
    for tap in range(layer.window.kernel**2):
        dy, dx = divmod(tap, layer.window.kernel)
        for part in range(layer.fold):
            read = Read(dy, dx, dy * place.row + dx * place.cell + part, True)
            steps.append(Step(False, tap if layer.weight is not None else 0, (read,) * slots, part))
    return tuple(steps)


__all__ = [
    "Read",
    "Step",
    "StepTable",
    "Unit",
    "Word",
    "add_conv",
    "add_input",
    "add_pool",
    "input_words",
    "pack_units",
    "significances",
]
