"""For how long something may not be done yet: the timing rules of the SDRAM as shift registers."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value


def clear_after(m: Module, name: str, *events: tuple[Value, int]) -> Value:
    """Low for n - 1 cycles after an ``(event, n)``: high again from the n-th cycle after it on.

    A bit for each cycle left, so that the result is one flip-flop, and the longest of several blocks wins by an OR.
    """
    left = Signal(max([1, *(cycles - 1 for _, cycles in events)]), name=name)
    following: Value = left >> 1
    for event, cycles in events:
        following = following | Mux(event, (1 << (cycles - 1)) - 1, 0)
    m.d.sync += left.eq(following)
    return ~left[0]
