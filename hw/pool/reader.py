"""Pool reader: sum or maximum, per lane, of the values that a pool position's steps read."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy
from bnnhw.hw.delay import delay
from bnnhw.hw.layouts import struct
from bnnhw.hw.multiplier import Multiplier
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.program import step_layout
from bnnhw.spec.timing import EARLY, pool_latency


def parts(config: EngineConfig) -> data.StructLayout:
    """What a step says of channels that are summed, and of weights."""
    fields = struct(job_layout(config).only(("fold", "weighted"))).members
    part = struct(step_layout(config).only(("part",))).members
    return data.StructLayout({name: (fields | part).get(name, 0) for name in ("part", "fold", "weighted")})


class PoolReader(wiring.Component):
    """o_values[l] = sum (or maximum) over a position's steps of the item of lane l; taps outside the map are skipped.

    An item is the value of lane l; in a folded pool of n, for lanes of the step's part, the sum of n neighbours: so
    n words become one. In a weighted pool it is that times the lane's weight.

    Rate: a step a cycle. Latency: o_captures is high ``spec.timing.pool_latency`` cycles after the last step, a cycle
    before its value would be, and o_values follows ``spec.timing.EARLY`` cycles after that value and holds until the
    next position's. A maximum over no tap at all is the smallest value.

    Members
    -------
    i_valid, i_first, i_last: in the next cycle a step is on i_value, the first / last of its position. i_ok: its tap is
    inside the map. i_max: maximum instead of sum. i_part: of the step. i_weights: signed weights of pool_weight_width
    bits, lane 0 lowest. i_value: lanes signed values of value_width bits, lane 0 lowest.
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
                "i_part": In(parts(config)),
                "i_weights": In(unsigned(config.lanes * config.pool_weight_width)),
                "i_value": In(unsigned(config.lanes * config.post.value_width)),
                "o_captures": Out(1),
                "o_values": Out(data.ArrayLayout(signed(config.pool_width), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        later = delay(
            m, Cat(self.i_valid, self.i_first, self.i_last, self.i_ok, self.i_max), pool_latency(c), "control"
        )
        valid, first, last, ok, maximum = later
        m.d.comb += self.o_captures.eq(valid & last)
        for lane in range(c.lanes):
            m.submodules[f"control_{lane}"] = control = Copy(5)  # registers of the lane's own, which lie where it does
            m.d.comb += control.i.eq(Cat(valid, first, valid & last, ok, maximum))
            m.d.comb += self.o_values[lane].eq(self._reduce(m, lane, self._item(m, lane), control.o))
        return m

    def _item(self, m: Module, lane: int) -> Value:
        """What a lane reduces, ``pool_latency`` cycles after i_value."""
        c, width = self.config, self.config.post.value_width
        values = [self.i_value.word_select(n, width).as_signed() for n in range(c.lanes)]
        item: Value = values[lane]
        part = delay(m, self.i_part.as_value(), 1, f"part_{lane}")
        now = data.View(self.i_part.shape(), part)
        if c.folds:
            choices = [item]
            for fold in c.folds:
                own = c.lanes // fold
                total = sum(values[lane % own * fold + n] for n in range(fold))
                choices.append(Mux(now.part == lane // own, total, Const(0)))
            folded = Signal(signed(width + (c.folds[-1] - 1).bit_length()), name=f"folded_{lane}")
            m.d.sync += folded.eq(Array(choices)[now.fold])
            item = folded
        if c.pool_weight_width:
            bits = c.pool_weight_width
            m.submodules[f"product_{lane}"] = product = Multiplier(len(item), bits)
            weight = Mux(self.i_part.weighted, self.i_weights.word_select(lane, bits).as_signed(), 1)
            held = Signal.like(product.b, name=f"weight_{lane}")
            m.d.sync += held.eq(weight)
            m.d.comb += [product.a.eq(item), product.b.eq(delay(m, held, bool(c.folds), f"held_{lane}").as_signed())]
            item = product.o
        return item

    def _reduce(self, m: Module, lane: int, item: Value, control: Value) -> Signal:
        """The item added to, or compared with, what the position's steps gave so far; held from its last on."""
        c = self.config
        valid, first, last, ok, maximum = control
        held = Signal(signed(c.pool_width), name=f"held_{lane}")
        results = {}
        if "sum" in c.pool_modes:
            results["sum"] = Mux(first, 0, held) + Mux(ok, item, 0)
        if "max" in c.pool_modes:
            before = Signal(signed(c.post.value_width), name=f"before_{lane}")
            m.d.comb += before.eq(Mux(first, -(1 << (c.post.value_width - 1)), held))
            results["max"] = Mux(ok & (item > before), item, before)
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
        return result
