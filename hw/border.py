"""Border class of a position along an axis, from bounds that are constants or belong to a pass."""

from __future__ import annotations

from amaranth import Mux, Value, ValueLike


def border_class(position: Value, low: ValueLike, high: ValueLike, inner: ValueLike) -> Value:
    """Class of an output position, as `BorderAxis.bounds` says it; wider than its range, to be cut to it."""
    return Mux(position < low, position, Mux(position >= high, position - high + inner, low))
