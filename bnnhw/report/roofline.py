"""The roofline plot: ACE a cycle against ACE a byte, one point a layer, under the roofs of compute and memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bnnhw.report.svg import picture, si, tag, text, title

WIDTH, HEIGHT = 980, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 28, 54


class _Axes:
    """Log-log axes: ``x(value)`` and ``y(value)`` in the drawing's units."""

    def __init__(self, low_x: float, high_x: float, low_y: float, high_y: float) -> None:
        self.decades_x = (math.floor(math.log10(low_x)), math.ceil(math.log10(high_x)))
        self.decades_y = (math.floor(math.log10(low_y)), math.ceil(math.log10(high_y)))

    def x(self, value: float) -> float:
        low, high = self.decades_x
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.decades_y
        return HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def drawn(self) -> list[str]:
        """Grid, ticks and axis titles."""
        parts = []
        for power in range(self.decades_x[0], self.decades_x[1] + 1):
            x = self.x(10.0**power)
            parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"))
            parts.append(text(x, HEIGHT - BOTTOM + 18, si(10.0**power), text_anchor="middle", class_="tick"))
        for power in range(self.decades_y[0], self.decades_y[1] + 1):
            y = self.y(10.0**power)
            parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
            parts.append(text(LEFT - 10, y + 4, si(10.0**power), text_anchor="end", class_="tick"))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 12, "ACE a byte moved", text_anchor="middle", class_="axis"))
        turn = f"rotate(-90 20 {middle:g})"
        parts.append(text(20, middle, "ACE a cycle", text_anchor="middle", class_="axis", transform=turn))
        return parts


def roofline_plot(report: Mapping[str, Any]) -> str:
    """Points of all layers that compute, and of the frame; empty when no layer moves a byte."""
    points = [
        (layer["name"], layer["ace"], layer["bytes_moved"], layer["cycles"]["predicted"]) for layer in report["layers"]
    ]
    points = [point for point in points if all(point[1:])]
    if not points:
        return ""
    cycles = report["cycles"]["simulated"] or report["cycles"]["predicted"]
    frame = ("whole frame", report["ace"]["total"], report["bytes_moved"], cycles)
    peak = sum(report["ace_per_cycle"].values())
    slope = report["memory"]["bytes_per_cycle"]
    knee = peak / slope
    xs = [ace / moved for _, ace, moved, _ in points] + [knee]
    ys = [ace / used for _, ace, _, used in points]
    axes = _Axes(min(xs) / 2, max(xs) * 2, min(ys) / 2, peak * 1.5)
    compute = "array and front unit" if report["ace_per_cycle"]["front"] else "array"
    drawn = axes.drawn() + _roofs(axes, (compute, peak), (report["memory"]["name"], slope))
    for name, ace, moved, used in points:
        drawn.append(_point(axes, name, ace / moved, ace / used, peak, "layer"))
    name, ace, moved, used = frame
    drawn.append(_point(axes, name, ace / moved, ace / used, peak, "frame"))
    return picture(WIDTH, HEIGHT, "roofline", drawn, "roofline")


def _roofs(axes: _Axes, flat_roof: tuple[str, float], slope_roof: tuple[str, float]) -> list[str]:
    (compute, peak), (memory, slope) = flat_roof, slope_roof
    knee = peak / slope
    low_x, high_x = (10.0**power for power in axes.decades_x)
    low_y = 10.0 ** axes.decades_y[0]
    start = max(low_x, low_y / slope)
    corners = [(start, start * slope), (knee, peak), (high_x, peak)]
    path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in corners)
    flat = text(
        WIDTH - RIGHT - 6,
        axes.y(peak) - 8,
        f"{compute}: {si(peak)} ACE a cycle",
        text_anchor="end",
        class_="roof-label",
    )
    middle = math.sqrt(start * knee)
    tilt = math.degrees(math.atan2(axes.y(peak) - axes.y(start * slope), axes.x(knee) - axes.x(start)))
    at_x, at_y = axes.x(middle) - 6, axes.y(middle * slope) - 8
    along = text(
        at_x, at_y, f"{memory}: {si(slope)} bytes a cycle", text_anchor="middle", class_="roof-label",
        transform=f"rotate({tilt:.1f} {at_x:.1f} {at_y:.1f})",
    )  # fmt: skip
    return [tag("polyline", points=path, class_="roof"), flat, along]


def _point(axes: _Axes, name: str, x: float, y: float, peak: float, css: str) -> str:
    tip = title(f"{name}: {si(y)} ACE a cycle ({y / peak:.0%} of the roof), {si(x)} ACE a byte")
    return tag("circle", tip, cx=axes.x(x), cy=axes.y(y), r=8 if css == "frame" else 5, class_=css)
