"""The placed chip as a grid: which part of the design fills which tile, from nextpnr's placed design."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bnnhw.errors import FileFormatError
from bnnhw.report.inputs import Cell

MOST_PARTS = 7
"""Parts drawn in a colour of their own; the rest is "other"."""
SPLIT_SHARE = 0.5
"""A part with more than this share of all cells is shown as its own parts."""
LEVELS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Digits of a tile; see :func:`floorplan`."""
BEL = re.compile(r"X(\d+)/Y(\d+)/")


def read_placement(path: Path) -> tuple[Cell, ...]:
    """Cells of a design that nextpnr wrote with ``--write``; cells without a place (constants) are left out.

    Raises FileFormatError when the file is no such design.
    """
    try:
        modules = json.loads(path.read_text("utf-8"))["modules"]
        cells = [cell for module in modules.values() for cell in module.get("cells", {}).items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise FileFormatError(f"placed design {path} must be JSON written by nextpnr, and is not") from None
    found = []
    for name, cell in cells:
        attributes = cell.get("attributes", {})
        place = BEL.match(attributes.get("NEXTPNR_BEL", ""))
        if place:
            # yosys keeps the hierarchy of a flattened cell in `hdlname` (blanks) or in its name (dots)
            path_name = attributes.get("hdlname", "").replace(" ", ".") or name
            found.append(Cell(int(place[1]), int(place[2]), path_name))
    return tuple(found)


def floorplan(cells: Sequence[Cell], grid: tuple[int, int] | None) -> dict[str, Any]:
    """Parts of the design with their cell counts, and ``rows``: a character a tile, ``.`` where it is empty.

    The character is digit 3 * part + level of LEVELS; ``part`` indexes ``parts``, the one with most cells in that
    tile, and ``level`` 0, 1, 2 says how full the tile is against the fullest one.
    """
    paths = [_scopes(cell.path) for cell in cells]
    prefixes = _parts(paths)
    names = [".".join(prefix) or "top" for prefix in prefixes]
    tiles: dict[tuple[int, int], Counter[int]] = {}
    totals: Counter[int] = Counter()
    for cell, path in zip(cells, paths, strict=True):
        part = _part_of(path, prefixes)
        totals[part] += 1
        tiles.setdefault((cell.x, cell.y), Counter())[part] += 1
    width = max(max(cell.x for cell in cells) + 1, grid[0] if grid else 0)
    height = max(max(cell.y for cell in cells) + 1, grid[1] if grid else 0)
    fullest = max(sum(found.values()) for found in tiles.values())
    rows = [["."] * width for _ in range(height)]
    for (x, y), found in tiles.items():
        part = max(found, key=lambda p: (found[p], -p))
        rows[y][x] = LEVELS[3 * part + (3 * sum(found.values()) - 1) // fullest]
    parts = [{"name": name, "cells": totals[index]} for index, name in enumerate(names)]
    if totals[len(names)]:
        parts.append({"name": "other", "cells": totals[len(names)]})
    return {"parts": parts, "rows": ["".join(row) for row in rows]}


def _scopes(path: str) -> tuple[str, ...]:
    """Instances a cell lies in, outermost first; what nextpnr and yosys append to names is cut."""
    scopes = path.split("$", 1)[0].split(".")
    return tuple(scope for scope in scopes[:-1] if scope and scope != "top")


def _parts(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Up to MOST_PARTS instance prefixes that divide the design evenly, the largest first."""
    paths = list(paths)
    counts: Counter[tuple[str, ...]] = Counter(path[:1] for path in paths)
    while True:
        largest, cells = max(counts.items(), key=lambda item: (item[1], item[0]), default=((), 0))
        below = Counter(path[: len(largest) + 1] for path in paths if path[: len(largest)] == largest)
        if cells <= SPLIT_SHARE * len(paths) or not 2 <= len(below) <= MOST_PARTS:
            break  # also a part of many equal pieces, like an array of PEs, stays whole
        del counts[largest]
        counts.update(below)
    return [prefix for prefix, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_PARTS]]


def _part_of(path: tuple[str, ...], prefixes: Sequence[tuple[str, ...]]) -> int:
    """Index of the longest prefix of ``path``; len(prefixes) if there is none."""
    fitting = [index for index, prefix in enumerate(prefixes) if path[: len(prefix)] == prefix]
    return max(fitting, key=lambda index: len(prefixes[index]), default=len(prefixes))
