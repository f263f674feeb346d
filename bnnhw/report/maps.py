"""The memory plan as a drawing: every map a box, from the layer that writes it to the last that reads it, at its
addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnnhw.report.svg import grouped, picture, tag, text, title

WIDTH, HEIGHT = 980, 220
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 10, 26
LETTER = 7.0
"""Width of a letter of a name, roughly: longer names are left to the tooltip."""


def map_pictures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(caption, drawing) of every memory that holds maps: layers from left to right, addresses upwards."""
    plan, layers = report["memory_plan"], [layer["name"] for layer in report["layers"]]
    found = []
    for memory in plan["memories"]:
        maps = [placed for placed in plan["maps"] if placed["memory"] == memory["name"]]
        if maps:
            banks = f"{memory['banks']} banks of " if memory["banks"] > 1 else ""
            caption = f"{memory['name']}: {banks}{grouped(memory['words'])} words of {memory['width']} bits"
            found.append((caption, _picture(memory, maps, layers)))
    return found


def _picture(memory: Mapping[str, Any], maps: list[Mapping[str, Any]], layers: list[str]) -> str:
    across, up = (WIDTH - LEFT - RIGHT) / len(layers), (HEIGHT - TOP - BOTTOM) / memory["words"]
    bottom = HEIGHT - BOTTOM
    drawn = []
    for words in (0, memory["words"]):
        y = bottom - words * up
        drawn.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(text(LEFT - 10, y + 4, grouped(words), text_anchor="end", class_="tick"))
    for number, placed in enumerate(maps):
        x, y = LEFT + placed["first"] * across, bottom - (placed["address"] + placed["words"]) * up
        width, height = (placed["last"] - placed["first"] + 1) * across, placed["words"] * up
        tip = f"{placed['tensor']}: {grouped(placed['words'])} words from {grouped(placed['address'])} on, "
        tip += f"{layers[placed['first']]} to {layers[placed['last']]}"
        box = tag("rect", title(tip), x=x, y=y, width=width, height=height, class_=f"c{number % 8}")
        fits = len(placed["tensor"]) * LETTER < width and height > 12
        name = text(x + width / 2, y + height / 2 + 4, placed["tensor"], text_anchor="middle", class_="in-box")
        drawn.append(box + (name if fits else ""))
    for number in (0, len(layers) - 1):
        anchor = "end" if number else "start"
        x = LEFT + (number + bool(number)) * across
        drawn.append(text(x, HEIGHT - 8, layers[number], text_anchor=anchor, class_="tick"))
    return picture(WIDTH, HEIGHT, f"maps in the {memory['name']}", drawn, "bars")
