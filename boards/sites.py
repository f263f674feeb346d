"""Where multipliers and block RAMs are on a chip, under nextpnr's names."""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.boards.analytic import Area


@dataclass(frozen=True)
class Site:
    """A place for one block, in tiles; ``bel`` is nextpnr's name of it."""

    x: int
    y: int
    bel: str


@dataclass(frozen=True)
class Sites:
    """The sites of a chip by cell type, row after row, and the area of its logic."""

    area: Area
    blocks: dict[str, tuple[Site, ...]]


def _rows(rows: tuple[int, ...], groups: tuple[int, ...], places: tuple[tuple[int, str], ...]) -> tuple[Site, ...]:
    return tuple(Site(group + x, y, f"X{group + x}/Y{y}/{bel}") for y in rows for group in groups for x, bel in places)


RAM = ((4, "EBR0"), (6, "EBR1"), (8, "EBR2"), (10, "EBR3"))
MULTIPLIER = ((4, "MULT18_0"), (5, "MULT18_1"), (8, "MULT18_4"), (9, "MULT18_5"))


def _chip(area: Area, groups: tuple[int, ...], multipliers: tuple[int, ...], rams: tuple[int, ...]) -> Sites:
    """``groups``: first tiles of the groups of a row; ``multipliers``, ``rams``: rows."""
    return Sites(area, {"MULT18X18D": _rows(multipliers, groups, MULTIPLIER), "DP16KD": _rows(rams, groups, RAM)})


_SMALL = _chip(Area(2, 2, 67, 47), (0, 9, 18, 29, 38, 47, 56), (13,), (25, 37))
SITES = {
    "12k": _SMALL,
    "25k": _SMALL,
    "45k": _chip(Area(2, 2, 85, 68), (*range(0, 28, 9), *range(38, 75, 9)), (22, 46), (10, 34, 58)),
    "85k": _chip(Area(2, 2, 121, 92), (*range(0, 63, 9), *range(65, 119, 9)), (10, 34, 58), (22, 46, 70, 82)),
}
"""By nextpnr's device name, as it places designs that use all of them. A 12k is a 25k of which less may be used."""
