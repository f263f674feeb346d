"""Integer arithmetic of the number contract: rounding, saturation, number formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement number that holds every integer of [low, high]."""
    return max(high.bit_length(), (~low).bit_length() if low < 0 else 0) + 1


def unsigned_width(high: int) -> int:
    """Bits of the narrowest unsigned number that holds every integer of [0, high]; at least 1."""
    return max(1, high.bit_length())


def round_shift(x: IntArray, shift: int) -> IntArray:
    """Divide by 2**shift, round half up: add half, shift arithmetically. ``shift`` >= 0."""
    return (x + (1 << shift >> 1)) >> shift


@dataclass(frozen=True)
class Bits:
    """Binary values s in {-1, +1}, stored as the bit b = (s + 1) / 2."""

    @property
    def planes(self) -> int:
        return 1


@dataclass(frozen=True)
class Codes:
    """Unsigned integers 0 .. 2**bits - 1, held as ``bits`` bit planes."""

    bits: int

    @property
    def planes(self) -> int:
        return self.bits


@dataclass(frozen=True)
class Fixed:
    """Signed two's complement integers of ``width`` bits; the real value is integer / 2**frac."""

    width: int
    frac: int

    @property
    def min(self) -> int:
        return -(1 << (self.width - 1))

    @property
    def max(self) -> int:
        return (1 << (self.width - 1)) - 1


Format = Bits | Codes | Fixed
