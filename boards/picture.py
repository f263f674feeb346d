"""Draws the placed chip from the JSON that nextpnr writes: one dot a used site, coloured by part of the design."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEL = re.compile(r"X(\d+)/Y(\d+)/(?:SLICE([A-D])\.(\w+?)(\d)$)?")
KINDS = {
    "TRELLIS_COMB": ("LUTs", "#9aa4b2"),
    "TRELLIS_FF": ("", ""),
    "TRELLIS_RAMW": ("LUTs", "#9aa4b2"),
    "DP16KD": ("block RAM", "#d98032"),
    "MULT18X18D": ("multipliers", "#7b4fb5"),
}
MODULES = ("#2f6fb2", "#3a9a5b", "#b23a48", "#b5a12f", "#2fa5b2")


def positions(design: dict[str, Any], top: str, paths: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Used sites by part: each path of ``paths`` that a LUT's name starts with, "LUTs", "block RAM", "multipliers".

    Coordinates are tiles; the eight LUTs of a tile lie in it as two columns of four.
    """
    parts: dict[str, list[tuple[float, float]]] = {part: [] for part in ("LUTs", *paths, "block RAM", "multipliers")}
    for name, cell in sorted(design["modules"][top]["cells"].items()):
        label, _ = KINDS.get(cell["type"], ("", ""))
        match = BEL.match(cell["attributes"].get("NEXTPNR_BEL", ""))
        if not label or match is None:
            continue
        x, y = float(match[1]), float(match[2])
        if match[3]:
            x, y = x + 0.25 + 0.5 * (int(match[5]) % 2), y + (ord(match[3]) - ord("A") + 0.5) / 4
        if label == "LUTs":
            label = next((path for path in paths if name.startswith(path + ".")), label)
        parts[label].append((x, y))
    return parts


def draw(placed: Path, picture: Path, paths: Sequence[str] = (), *, top: str = "top") -> Path:
    """Write ``picture`` (the format follows the suffix: .png or .svg) of the design in ``placed``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = positions(json.loads(placed.read_text()), top, paths)
    figure = Figure(figsize=(9, 7), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = dict(KINDS.values()) | dict(zip(paths, MODULES * len(paths), strict=False))
    for label, points in parts.items():
        if points:
            size = 9 if label in ("block RAM", "multipliers") else 1
            axes.scatter(
                [x for x, _ in points],
                [y for _, y in points],
                s=size,
                marker="s",
                linewidths=0,
                c=colours[label],
                label=label,
            )
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xlabel("tile column")
    axes.set_ylabel("tile row")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=4, frameon=False, markerscale=3)
    figure.tight_layout()
    partial = picture.with_name("part-" + picture.name)
    figure.savefig(partial, metadata={"Date": None} if picture.suffix == ".svg" else None)
    partial.replace(picture)
    return picture
