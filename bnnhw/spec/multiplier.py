"""How wide signed products are cut into the 18 x 18 blocks of the chip, and how long they take."""

from __future__ import annotations

BLOCK = 18
"""Signed operand bits of a block."""
LOW = BLOCK - 1
"""Bits of all but the highest part of a wide operand: unsigned, so one less than a signed block takes."""
LATENCY = 4
"""Cycles from the operands to the product."""
SMALL = 64
"""Products of parts of at most this many partial bits are cheaper in LUTs than a block is."""


def parts(width: int) -> list[int]:
    """Signed widths of an operand's parts, lowest first; part n counts 2**(17 n)."""
    return [width] if width <= BLOCK else [BLOCK, *parts(width - LOW)]


def blocks(a_width: int, b_width: int) -> int:
    """Multiplier blocks of one product."""
    return sum(a * b > SMALL for a in parts(a_width) for b in parts(b_width))
