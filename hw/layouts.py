"""Amaranth views of the packed words that ``bnnhw.spec`` describes."""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data

from bnnhw.spec.layout import WordLayout


def struct(layout: WordLayout) -> data.StructLayout:
    """The packed word as a struct, first field in the least significant bits; absent (0 bit) fields are left out."""
    return data.StructLayout(
        {f.name: signed(f.width) if f.signed else unsigned(f.width) for f in layout.fields if f.width}
    )
