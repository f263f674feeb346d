"""The few SVG and number-formatting helpers that the drawings of a report share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Value = str | float | int


def tag(name: str, *children: str, **attributes: Value) -> str:
    """One element. Underscores in attribute names become dashes; a trailing one is dropped (``class_``)."""
    parts = []
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    inner = "".join(children)
    return f"<{name}{''.join(parts)}>{inner}</{name}>" if inner else f"<{name}{''.join(parts)}/>"


def text(x: float, y: float, content: str, **attributes: Value) -> str:
    """A text element with escaped content."""
    return tag("text", escape(content), x=x, y=y, **attributes)


def title(content: str) -> str:
    """The tooltip of the element it is put into."""
    return tag("title", escape(content))


def picture(width: float, height: float, label: str, children: Iterable[str], css: str = "") -> str:
    """A drawing that scales with the page; ``label`` is what a screen reader says."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        class_=f"drawing {css}".strip(),
    )


def si(value: float) -> str:
    """A count in three significant digits with k, M, G: 12.3 M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {unit}" if abs(value) < 999.5 * limit else f"{value / limit:.0f} {unit}"
    return f"{value:.3g}" if value != round(value) else f"{value:.0f}"


def grouped(value: float) -> str:
    """A whole number with narrow spaces between the thousands."""
    return f"{round(value):,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """A share as a percentage with one decimal, without a decimal from 99.95 % on only when exact."""
    return f"{share * 100:.1f}\u202f%"
