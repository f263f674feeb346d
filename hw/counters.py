"""Counts the cycles of frames by cause."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy


class Counters(wiring.Component):
    """Counts the cycles of a frame, and those since the one before, by cause; shows them when it is done, some cycles
    late.

    Members
    -------
    i_cause: one-hot over the causes, 0 in cycles that count for none. i_over: the frame ends with this cycle.
    counters: of the last finished frame, all cycles first and then those of each cause.
    """

    def __init__(self, causes: int) -> None:
        super().__init__({"i_cause": In(causes), "i_over": In(1), "counters": Out(data.ArrayLayout(32, causes + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cause = copy = Copy(len(self.i_cause) + 2)
        m.d.comb += copy.i.eq(Cat(self.i_over, self.i_cause.any(), self.i_cause))
        over = Signal()  # what runs is complete, and the next frame's begins
        m.d.sync += over.eq(copy.o[0])
        running = Signal(self.counters.shape())
        m.d.sync += [count.eq(Mux(over, 0, count) + copy.o[1 + n]) for n, count in enumerate(running)]
        with m.If(over):
            m.d.sync += self.counters.eq(running)
        return m
