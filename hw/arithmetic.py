"""Arithmetic in the form that suits the chip: small products as sums, as a synthesiser would give each of them one of
the slow, far-off multiplier blocks; comparisons by a sign, as a carry leaves its chain through another."""

from __future__ import annotations

from amaranth import Const, Mux, Value, ValueLike


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
