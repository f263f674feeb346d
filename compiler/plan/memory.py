"""Memory planning: addresses for maps so that no two that are alive at the same time overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bnnhw.compiler.plan.bands import JobOrder
from bnnhw.compiler.plan.places import BitPlace, Places, ValuePlace
from bnnhw.compiler.plan.uses import Uses
from bnnhw.spec.network import Layer, Network


@dataclass(frozen=True)
class Part:
    """Words ``offset`` .. ``offset`` + ``words`` - 1 of a region, alive from job ``first`` (which writes) to job
    ``last`` (which reads)."""

    offset: int
    words: int
    first: int
    last: int

    def clashes(self, other: Part) -> bool:
        """Whether both are alive at the same time: a job reads while it writes."""
        return self.first <= other.last and other.first <= self.last and bool(self.words and other.words)


@dataclass(frozen=True)
class Region:
    """Maps that share one address, in parts that live differently long."""

    names: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def words(self) -> int:
        return max(part.offset + part.words for part in self.parts)


Placed = list[tuple[int, Region]]


def assign(regions: Sequence[Region], bottom: str | None = None) -> tuple[dict[str, int], int]:
    """Address of every map, and the words needed: largest region first, each at the lowest address that is free.

    The map ``bottom`` lies at address 0 and the others as high as possible, so that its first words are free again
    early.
    """
    order = sorted(regions, key=lambda r: (bottom not in r.names, -r.words, r.parts[0].first, r.names))
    placed: Placed = []
    for region in order:
        placed.append((min(_free(region, placed)), region))
    size = max((address + region.words for address, region in placed), default=0)
    if bottom is not None:
        high: Placed = []
        for region in order:
            top = size - region.words
            free = [0] if bottom in region.names else [at for at in _free(region, high, top) if at <= top]
            if not free:
                break
            high.append((max(free), region))
        placed = high if len(high) == len(placed) else placed
    return {name: address for address, region in placed for name in region.names}, size


def _free(region: Region, placed: Placed, *more: int) -> list[int]:
    """Free addresses for a region: 0, ``more``, and those at which one of its parts touches another's."""
    busy = [(own, at + other.offset, other.words) for own in region.parts for at, other in _clashing(own, placed)]
    touching = {low + words - own.offset for own, low, words in busy} | {
        low - own.words - own.offset for own, low, words in busy
    }
    return [
        address
        for address in {0, *more} | touching
        if address >= 0
        and all(
            address + own.offset + own.words <= low or low + words <= address + own.offset for own, low, words in busy
        )
    ]


def _clashing(part: Part, placed: Placed) -> list[tuple[int, Part]]:
    return [(at, other) for at, region in placed for other in region.parts if part.clashes(other)]


def free_words(regions: Sequence[Region], bases: Mapping[str, int], time: int, end: int) -> int:
    """Words from address 0 to at most ``end`` that no map holds in job ``time`` or later."""
    alive = [
        bases[region.names[0]] + part.offset
        for region in regions
        for part in region.parts
        if part.last >= time and part.words
    ]
    return min([end, *alive])


def bit_regions(network: Network, uses: Uses, places: Places, order: JobOrder) -> list[Region]:
    """One region for every map in the activation memory."""
    regions = []
    for name, place in places.bits.items():
        producer = uses.producer[name]
        births, deaths = order.births(producer), order.deaths(producer, uses.bits(name), name)
        if place.rows < place.tensor.height:  # band after band at the same words
            parts: tuple[Part, ...] = (Part(0, place.words, min(births), max(deaths)),)
        else:
            parts = _parts(place.row, births, deaths)
        regions.append(Region((name,), parts))
    return regions


def _parts(row: int, births: Sequence[int], deaths: Sequence[int]) -> tuple[Part, ...]:
    """Neighbouring rows that are born and die together."""
    parts, y = [], 0
    for (first, last), group in groupby(zip(births, deaths, strict=True)):
        count = len(list(group))
        parts.append(Part(y * row, count * row, first, last))
        y += count
    return tuple(parts)


def value_regions(network: Network, uses: Uses, places: Places, order: JobOrder) -> list[Region]:
    """Regions of the value memory; a layer's output takes the place of its residual where that is safe.

    Safe is: the residual is of the same layout (each word is read before the same word is written), and no later layer
    reads it.
    """
    owner: dict[str, str] = {}
    chains: dict[str, list[str]] = {}
    for name, place in places.values.items():
        if place.spilled:
            continue
        index = uses.producer[name]
        layer = network.layers[index]
        head = name
        for residual in layer.post.residuals:
            other = places.values[residual.tensor]
            same = (place.row, place.words, place.cell) == (other.row, other.words, other.cell)
            same = same and not other.spilled and not residual.tiled and residual.stride == 1
            if same and other.tensor.channels == place.tensor.channels and uses.values(residual.tensor)[-1] == index:
                head = owner[residual.tensor]
                break
        owner[name] = head
        chains.setdefault(head, []).append(name)
    regions = []
    for head, names in chains.items():
        deaths = [order.deaths(uses.producer[name], uses.values(name), name) for name in names]
        last = [max(times) for times in zip(*deaths, strict=True)]
        parts = _parts(places.values[head].row, order.births(uses.producer[head]), last)
        regions.append(Region(tuple(names), parts))
    return regions


def gate_regions(uses: Uses, places: Places, order: JobOrder) -> list[Region]:
    """One region for every gate."""
    regions = []
    for name, place in places.gates.items():
        first = min(time for time, _ in order.of(uses.producer[name]))
        last = max(time for reader in uses.gates[name] for time, _ in order.of(reader))
        regions.append(Region((name,), (Part(0, place.words, first, last),)))
    return regions


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """The maps at their addresses, and the words of a bank of each memory. ``front_rows``: for every job, the rows of
    the front unit's map that the next frame's may take from then on; 0 without a front unit."""

    places: Places
    bit_words: int
    value_words: int
    gate_words: int
    front_rows: Sequence[int]


def place_all(network: Network, uses: Uses, places: Places, order: JobOrder, front: Layer | None = None) -> MemoryPlan:
    """All maps; that of layer ``front`` is made during the frame before."""
    bits, value = (None, None) if front is None else (front.post.publish.bits, front.post.publish.value)
    memories: list[tuple[Mapping[str, BitPlace | ValuePlace], str | None, list[Region]]] = [
        (places.bits, bits, bit_regions(network, uses, places, order)),
        (places.values, value, value_regions(network, uses, places, order)),
    ]
    rows = [0 if front is None else network.out_tensor(front).height] * len(order.jobs)
    placed: list[tuple[dict[str, int], int]] = []
    for maps, first, regions in memories:
        on_chip = first if first is not None and first in maps and not getattr(maps[first], "spilled", False) else None
        bases, words = assign(regions, on_chip)
        placed.append((bases, words))
        if on_chip is not None:
            own = maps[on_chip]
            rows = [min(n, free_words(regions, bases, time, own.words) // own.row) for time, n in enumerate(rows)]
    (bit_bases, bit_words), (value_bases, value_words) = placed
    gate_bases, gate_words = assign(gate_regions(uses, places, order))
    return MemoryPlan(places.rebase(bit_bases, value_bases, gate_bases), bit_words, value_words, gate_words, rows)


__all__ = ["MemoryPlan", "Part", "Region", "assign", "bit_regions", "place_all", "value_regions"]
