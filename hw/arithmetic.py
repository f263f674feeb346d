"""Small products as sums: a synthesiser would give each of them one of the chip's slow, far-off multiplier blocks."""

from __future__ import annotations

from amaranth import Const, Mux, Value


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
