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


GROUPS_85 = (*range(0, 63, 9), *range(65, 119, 9))
RAM = ((4, "EBR0"), (6, "EBR1"), (8, "EBR2"), (10, "EBR3"))
MULTIPLIER = ((4, "MULT18_0"), (5, "MULT18_1"), (8, "MULT18_4"), (9, "MULT18_5"))
SITES = {
    "85k": Sites(
        Area(2, 2, 121, 92),
        {
            "MULT18X18D": _rows((10, 34, 58), GROUPS_85, MULTIPLIER),
            "DP16KD": _rows((22, 46, 70, 82), GROUPS_85, RAM),
        },
    ),
}
"""By nextpnr's device name; other chips are small enough that blocks need no plan."""
