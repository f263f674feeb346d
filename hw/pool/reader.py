"""Pool reader: sum or maximum, per lane, of the values that a pool position's steps read."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.timing import EARLY


class PoolReader(wiring.Component):
    """o_values[l] = sum (or maximum) over a position's steps of the value of lane l; taps outside the map are skipped.

    Rate: a step a cycle. Latency: o_captures is high with the last step, a cycle before its value, and o_values
    follows that value ``spec.timing.EARLY`` cycles later and holds until the next position's. A maximum over no tap at
    all is the smallest value.

    Members
    -------
    i_valid, i_first, i_last: in the next cycle a step is on i_value, the first / last of its position. i_ok: its tap is
    inside the map. i_max: maximum instead of sum. i_value: lanes signed values of value_width bits, lane 0 lowest.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_valid": In(1),
                "i_first": In(1),
                "i_last": In(1),
                "i_ok": In(1),
                "i_max": In(1),
                "i_value": In(unsigned(config.lanes * config.post.value_width)),
                "o_captures": Out(1),
                "o_values": Out(data.ArrayLayout(signed(config.pool_width), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, width = self.config, self.config.post.value_width
        lowest = -(1 << (width - 1))
        m.d.comb += self.o_captures.eq(self.i_valid & self.i_last)
        for lane in range(c.lanes):
            m.submodules[f"control_{lane}"] = control = Copy(5)  # registers of the lane's own, which lie where it does
            m.d.comb += control.i.eq(Cat(self.i_valid, self.i_first, self.i_valid & self.i_last, self.i_ok, self.i_max))
            valid, first, last, ok, maximum = control.o
            value = self.i_value.word_select(lane, width).as_signed()
            held = Signal(signed(c.pool_width), name=f"held_{lane}")
            results = {}
            if "sum" in c.pool_modes:
                results["sum"] = Mux(first, 0, held) + Mux(ok, value, 0)
            if "max" in c.pool_modes:
                before = Signal(signed(width), name=f"before_{lane}")
                m.d.comb += before.eq(Mux(first, lowest, held))
                results["max"] = Mux(ok & (value > before), value, before)
            reduced = Signal(signed(c.pool_width), name=f"reduced_{lane}")
            m.d.comb += reduced.eq(
                Mux(maximum, results["max"], results["sum"]) if len(results) == 2 else next(iter(results.values()))
            )
            result = Signal(signed(c.pool_width), name=f"result_{lane}")
            with m.If(valid):
                m.d.sync += held.eq(reduced)
            with m.If(last):
                m.d.sync += result.eq(reduced)
            for _ in range(EARLY - 1):
                later = Signal.like(result)
                m.d.sync += later.eq(result)
                result = later
            m.d.comb += self.o_values[lane].eq(result)
        return m
