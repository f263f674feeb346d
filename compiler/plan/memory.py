"""Memory planning: addresses for maps so that no two that are alive at the same time overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnnhw.compiler.plan.places import Places
from bnnhw.compiler.plan.uses import Uses
from bnnhw.spec.network import Layer, Network


@dataclass(frozen=True)
class Region:
    """Maps that share one address, alive from layer ``first`` (which writes) to layer ``last`` (which reads)."""

    names: tuple[str, ...]
    words: int
    first: int
    last: int


Placed = list[tuple[int, Region]]


def assign(regions: Sequence[Region], bottom: str | None = None) -> tuple[dict[str, int], int]:
    """Address of every map, and the words needed: largest region first, each at the lowest address that is free.

    Regions whose lives touch in one layer may not overlap: a layer reads while it writes. The map ``bottom`` lies at
    address 0 and the others as high as possible, so that its first words are free again early.
    """
    order = sorted(regions, key=lambda r: (bottom not in r.names, -r.words, r.first, r.names))
    placed: Placed = []
    for region in order:
        placed.append((_lowest(region, placed), region))
    size = _size(placed)
    if bottom is not None:
        high: Placed = []
        for region in order:
            high.append((0 if bottom in region.names else _highest(region, high, size), region))
        placed = high if min(at for at, _ in high) >= 0 else placed
    return {name: address for address, region in placed for name in region.names}, size


def _size(placed: Placed) -> int:
    return max((address + region.words for address, region in placed), default=0)


def _busy(region: Region, placed: Placed) -> list[tuple[int, int]]:
    return sorted((at, at + other.words) for at, other in placed if _both_alive(region, other))


def _lowest(region: Region, placed: Placed) -> int:
    address = 0
    for low, high in _busy(region, placed):
        if address + region.words <= low:
            break
        address = max(address, high)
    return address


def _highest(region: Region, placed: Placed, size: int) -> int:
    """The highest free address below ``size``; negative if there is none."""
    address = size - region.words
    for low, high in reversed(_busy(region, placed)):
        if address >= high:
            break
        address = min(address, low - region.words)
    return address


def free_words(regions: Sequence[Region], bases: Mapping[str, int], layer: int, end: int) -> int:
    """Words from address 0 to at most ``end`` that no map holds in layer ``layer`` or later."""
    return min((bases[r.names[0]] for r in regions if r.last >= layer and r.words), default=end)


def _both_alive(a: Region, b: Region) -> bool:
    return a.first <= b.last and b.first <= a.last


def bit_regions(network: Network, uses: Uses, places: Places) -> list[Region]:
    """One region for every map in the activation memory."""
    return [
        Region((name,), place.words, uses.producer[name], uses.bits(name)[-1]) for name, place in places.bits.items()
    ]


def value_regions(network: Network, uses: Uses, places: Places) -> list[Region]:
    """Regions of the value memory; a layer's output takes the place of its residual where that is safe.

    Safe is: the residual is an identity (each word is read before the same word is written), of the same layout, and
    nothing else reads it in this layer or later.
    """
    owner: dict[str, str] = {}
    chains: dict[str, list[str]] = {}
    for name, place in places.values.items():
        index = uses.producer[name]
        layer = network.layers[index]
        residual = layer.post.residual
        head = name
        if residual is not None and residual.stride == 1 and layer.source != residual.tensor:
            other = places.values[residual.tensor]
            same = (place.row, place.words, place.cell) == (other.row, other.words, other.cell)
            if same and other.tensor.channels == place.tensor.channels and uses.values(residual.tensor)[-1] == index:
                head = owner[residual.tensor]
        owner[name] = head
        chains.setdefault(head, []).append(name)
    return [
        Region(
            tuple(names),
            places.values[head].words,
            uses.producer[head],
            max(uses.values(name)[-1] for name in names),
        )
        for head, names in chains.items()
    ]


def place_all(network: Network, uses: Uses, places: Places, front: Layer | None = None) -> tuple[Places, int, int]:
    """The maps at their addresses, words of a bank of activation memory, words of the value memory. ``front``: the
    layer whose map is made during the frame before."""
    bottom = (None, None) if front is None else (front.post.publish.bits, front.post.publish.value)
    bits, bit_words = assign(bit_regions(network, uses, places), bottom[0])
    values, value_words = assign(value_regions(network, uses, places), bottom[1])
    return places.rebase(bits, values), bit_words, value_words


def front_rows(network: Network, uses: Uses, places: Places, front: Layer, layer: int) -> int:
    """Rows of the map of ``front`` that the next frame's may take while layer ``layer`` and those after it run."""
    rows = network.out_tensor(front).height
    publish = front.post.publish
    value, bits = places.values.get(publish.value or ""), places.bits.get(publish.bits or "")
    if value is not None:
        bases = {name: place.base for name, place in places.values.items()}
        free = free_words(value_regions(network, uses, places), bases, layer, value.words)
        rows = min(rows, free // value.row)
    if bits is not None:
        bases = {name: place.base for name, place in places.bits.items()}
        rows = min(rows, free_words(bit_regions(network, uses, places), bases, layer, bits.words) // bits.row)
    return rows


__all__ = ["Region", "assign", "bit_regions", "front_rows", "place_all", "value_regions"]
