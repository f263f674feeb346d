"""Packed words: named bit fields, described once and used by the compiler (pack), machine model and hardware."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class BitField:
    """One field of a packed word: ``width`` bits (0 = absent), two's complement when ``signed``."""

    name: str
    width: int
    signed: bool = False
    doc: str = ""


@dataclass(frozen=True)
class WordLayout:
    """Fields of a packed word, the first in the least significant bits."""

    fields: tuple[BitField, ...]

    @property
    def width(self) -> int:
        """Bits of the word."""
        return sum(f.width for f in self.fields)

    def only(self, names: Collection[str]) -> WordLayout:
        """The word of these fields alone, without absent ones."""
        return WordLayout(tuple(f for f in self.fields if f.name in names and f.width))

    def pack(self, values: Mapping[str, int]) -> int:
        """The word with these field values; absent fields are 0. A value out of its field's range is our own fault."""
        unknown = set(values) - {f.name for f in self.fields}
        assert not unknown, f"no fields {sorted(unknown)}"
        word = shift = 0
        for f in self.fields:
            value = int(values.get(f.name, 0))
            low, high = (-(1 << f.width >> 1), (1 << f.width >> 1) - 1) if f.signed else (0, (1 << f.width) - 1)
            assert low <= value <= max(high, 0), f"field {f.name}: {value} is not in {low}..{high}"
            word |= (value & ((1 << f.width) - 1)) << shift
            shift += f.width
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Field values of a word."""
        values = {}
        for f in self.fields:
            value = word & ((1 << f.width) - 1)
            if f.signed and f.width and value >> (f.width - 1):
                value -= 1 << f.width
            values[f.name] = value
            word >>= f.width
        return values
