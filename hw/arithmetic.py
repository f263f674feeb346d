"""Arithmetic in the form that suits the chip.

Small products are sums, as a synthesiser would give each of them one of the slow, far-off multiplier blocks;
comparisons take a sign, as a carry leaves its chain only through another; tables are trees.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Const, Mux, Shape, Value, ValueLike


def times(value: Value, factor: int) -> Value:
    """value * factor."""
    terms = [value << bit for bit in range(abs(factor).bit_length()) if abs(factor) >> bit & 1]
    total = sum(terms[1:], terms[0]) if terms else Const(0)
    return -total if factor < 0 else total


def product(a: Value, b: Value) -> Value:
    """a * b for a b of a few bits."""
    terms = [Mux(bit, a << n, 0) for n, bit in enumerate(b)]
    if b.shape().signed:
        terms[-1] = -terms[-1]
    return sum(terms[1:], terms[0])


def less(a: Value, b: ValueLike) -> Value:
    """a < b."""
    difference = a - b
    return difference[-1]


def table(index: Value, words: Sequence[int], shape: Shape) -> Value:
    """words[index] in the given shape; beyond the words what costs least. Every bit is a function of the index alone,
    which an array's chain of comparisons hides from a synthesiser."""
    if len(words) <= 1 or len(index) == 0:
        return Const(words[0], shape)
    half = 1 << (len(index) - 1)
    low = table(index[:-1], words[:half], shape)
    if len(words) <= half:
        return low
    chosen = Mux(index[-1], table(index[:-1], words[half:], shape), low)
    return chosen.as_signed() if shape.signed else chosen
