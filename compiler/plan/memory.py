"""Memory planning: addresses for maps so that no two that are alive at the same time overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnnhw.compiler.plan.places import Places
from bnnhw.compiler.plan.uses import Uses
from bnnhw.spec.network import Network


@dataclass(frozen=True)
class Region:
    """Maps that share one address, alive from layer ``first`` (which writes) to layer ``last`` (which reads)."""

    names: tuple[str, ...]
    words: int
    first: int
    last: int


def assign(regions: Sequence[Region]) -> tuple[dict[str, int], int]:
    """Address of every map, and the words needed: largest region first, each at the lowest address that is free.

    Regions whose lives touch in one layer may not overlap: a layer reads while it writes.
    """
    placed: list[tuple[int, Region]] = []
    for region in sorted(regions, key=lambda r: (-r.words, r.first, r.names)):
        busy = sorted((at, at + other.words) for at, other in placed if _both_alive(region, other))
        address = 0
        for low, high in busy:
            if address + region.words <= low:
                break
            address = max(address, high)
        placed.append((address, region))
    bases = {name: address for address, region in placed for name in region.names}
    return bases, max((address + region.words for address, region in placed), default=0)


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


def place_all(network: Network, uses: Uses, places: Places) -> tuple[Places, int, int]:
    """The maps at their addresses, words of a bank of activation memory, words of the value memory."""
    bits, bit_words = assign(bit_regions(network, uses, places))
    values, value_words = assign(value_regions(network, uses, places))
    return places.rebase(bits, values), bit_words, value_words


__all__ = ["Region", "assign", "bit_regions", "place_all", "value_regions"]
