"""Cycles against ACE: a stacked bar a layer, the ideal part first and then the losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnnhw.report.svg import grouped, percent, picture, tag, text, title

WIDTH = 980
LABEL = 210
NUMBERS = 160
ROW = 24
BAR = 15


def cycle_bars(report: Mapping[str, Any]) -> str:
    """Bars of all layers on one scale of cycles; tooltips carry the numbers."""
    layers = report["layers"]
    names = list(report["losses"])
    longest = max(layer["cycles"]["predicted"] for layer in layers) or 1
    scale = (WIDTH - LABEL - NUMBERS) / longest
    drawn = [_axis(longest, scale, len(layers))]
    for index, layer in enumerate(layers):
        drawn.append(_row(layer, index * ROW + 6, scale, names))
    return picture(WIDTH, len(layers) * ROW + 34, "cycles of each layer, split into ideal and losses", drawn, "bars")


def total_bar(report: Mapping[str, Any]) -> str:
    """One bar for the whole frame, as shares of its cycles."""
    ideal = report["cycles"]["ideal"]
    whole = ideal + sum(report["losses"].values()) or 1
    parts = _segments(0, 0, 28, WIDTH / whole, ideal, report["losses"], list(report["losses"]))
    return picture(WIDTH, 28, "cycles of the frame, split into ideal and losses", parts, "bars")


def legend(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Colour class, name, share and meaning of the ideal part and of each loss that occurs."""
    ideal = report["cycles"]["ideal"]
    whole = ideal + sum(report["losses"].values()) or 1
    meaning = "ACE / (rows × cols × depth): every cell of the array busy in every cycle"
    rows = [{"css": "c0", "name": "ideal", "share": percent(ideal / whole), "meaning": meaning}]
    for index, (name, cycles) in enumerate(report["losses"].items()):
        if cycles:
            meaning = report["loss_meanings"].get(name, "")
            css = _css(index)
            rows.append({"css": css, "name": name, "share": percent(cycles / whole), "meaning": meaning})
    return rows


def _css(loss: int) -> str:
    """Colour class of a loss; there are eight colours."""
    return f"c{1 + loss % 8}"


def _row(layer: Mapping[str, Any], y: float, scale: float, names: list[str]) -> str:
    cycles = layer["cycles"]["predicted"]
    label = layer["name"] if len(layer["name"]) <= 30 else "…" + layer["name"][-29:]
    end = LABEL + cycles * scale + 8
    return tag(
        "g",
        text(LABEL - 10, y + 12, label, text_anchor="end", class_="label"),
        *_segments(LABEL, y, BAR, scale, layer["cycles"]["ideal"], layer["losses"], names),
        text(end, y + 12, f"{grouped(cycles)}  ·  {percent(layer['utilisation'])}", class_="number"),
    )


def _segments(
    x: float, y: float, height: float, scale: float, ideal: float, losses: Mapping[str, float], names: list[str]
) -> list[str]:
    parts = [("ideal", "c0", ideal)]
    parts += [(name, _css(index), losses.get(name, 0.0)) for index, name in enumerate(names)]
    drawn = []
    for name, css, cycles in parts:
        if cycles:
            tip = title(f"{name}: {grouped(cycles)} cycles")
            drawn.append(tag("rect", tip, x=x, y=float(y), width=cycles * scale, height=height, class_=css))
            x += cycles * scale
    return drawn


def _axis(longest: float, scale: float, rows: int) -> str:
    """Four to eight grid lines at round numbers of cycles."""
    power = 10 ** (len(str(int(longest))) - 1)
    step = next(s for s in (power / 5, power / 2, power, power * 2) if longest / s <= 8)
    bottom = rows * ROW + 8
    drawn = []
    value = 0.0
    while value <= longest:
        x = LABEL + value * scale
        drawn.append(tag("line", x1=x, x2=x, y1=0, y2=bottom, class_="grid"))
        drawn.append(text(x, bottom + 15, grouped(value), text_anchor="middle", class_="tick"))
        value += step
    return tag("g", *drawn)
