"""Draws the placed chip: a square a tile, coloured by the part of the design that fills it, denser where fuller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnnhw.report.chip import LEVELS
from bnnhw.report.svg import grouped, picture, tag

TILE = 8


def chip_picture(plan: Mapping[str, Any]) -> str:
    """The chip with row 0 on top, as in the device's own coordinates."""
    rows = plan["rows"]
    width, height = TILE * max(map(len, rows)), TILE * len(rows)
    squares: dict[int, list[str]] = {}  # one path a digit keeps the file small: a full 85F has 9,000 tiles
    for y, row in enumerate(rows):
        for x, digit in enumerate(row):
            if digit != ".":
                squares.setdefault(LEVELS.index(digit), []).append(f"M{x * TILE} {y * TILE}h7v7h-7z")
    drawn = [tag("rect", x=0, y=0, width=width, height=height, class_="die", rx=6)]
    for digit, found in sorted(squares.items()):
        part, level = divmod(digit, 3)
        drawn.append(tag("path", d="".join(found), class_=f"c{part}", opacity=(0.45, 0.72, 1.0)[level]))
    return picture(width, height, "placed chip", drawn, "chip")


def chip_legend(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """Colour class, name and cell count of each part."""
    return [
        {"css": f"c{index}", "name": part["name"], "cells": grouped(part["cells"])}
        for index, part in enumerate(plan["parts"])
    ]
