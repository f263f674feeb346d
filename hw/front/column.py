"""Multiplier column of the front unit: an output channel, the taps of a window's column at once, sums of its pixels."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeECP5Platform

from bnnhw.hw.copy import Copy
from bnnhw.hw.dsp import block
from bnnhw.spec.front import FrontConfig
from bnnhw.spec.multiplier import BLOCK

EARLY = 2
"""Cycles by which control comes before the sums that it is for."""
LUT_RAM = {"ram_style": "distributed"}


def latency(config: FrontConfig) -> int:
    """Cycles from i_taps to the sum that is added to a pixel's."""
    return 3 + config.sum_levels


def addition(config: FrontConfig) -> data.StructLayout:
    """What becomes of a sum: whether there is one, it begins or ends that of its pixel, and the pixel."""
    return data.StructLayout({"valid": 1, "first": 1, "last": 1, "pixel": range(config.columns)})


def handover(config: FrontConfig) -> data.StructLayout:
    """Whether the column hands its finished sum of a pixel on, or else the one of the column below."""
    return data.StructLayout({"capture": 1, "pixel": range(config.columns)})


class FrontColumn(wiring.Component):
    """sums[pixel] += sum over rows of tap * weight, for 8-bit pixels and odd weights.

    Rate: a pixel a cycle. The finished sums of a strip are kept apart and handed to ``o`` one pixel after the other.

    Members
    -------
    i_taps; i_word: weight codes (w + 2**weight_bits - 1) / 2, a row each, kept by i_load and taken into use by i_swap
    (in the cycle of the first taps that they multiply; i_load may be set in the same cycle, for the next ones).
    i_add: ``EARLY`` cycles before the sum of its taps, which comes ``latency`` cycles behind them.
    i_handover: a cycle later o takes the finished sum of a pixel, else i_below.
    """

    def __init__(self, config: FrontConfig) -> None:
        self.config = config
        c = config
        super().__init__(
            {
                "i_taps": In(data.ArrayLayout(unsigned(8), c.window.kernel)),
                "i_word": In(c.window.kernel * c.weight_bits),
                "i_load": In(1),
                "i_swap": In(1),
                "i_add": In(addition(c)),
                "i_handover": In(handover(c)),
                "i_below": In(signed(c.acc_width)),
                "o": Out(signed(c.acc_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        loaded = Signal(c.window.kernel * c.weight_bits)
        with m.If(self.i_load):
            m.d.sync += loaded.eq(self.i_word)
        products = []
        for dy in range(c.window.kernel):
            code = loaded.word_select(dy, c.weight_bits)
            weight = Signal(signed(c.weight_bits + 1), name=f"weight_{dy}")  # 2 * code + 1 - 2**bits
            m.d.comb += weight.eq(Cat(Const(1, 1), code[:-1], ~code[-1]).as_signed())
            products.append(self._product(m, platform, dy, Cat(self.i_taps[dy], Const(0, 1)).as_signed(), weight))
        total = self._sum(m, products)

        # Control goes to all columns, so each has registers of its own for it.
        ahead = self._near(m, self.i_add, "ahead")
        add, hand = self._near(m, ahead, "add"), self._near(m, self.i_handover, "hand")
        before = Signal(signed(c.acc_width))
        sums = memory.Memory(shape=signed(c.acc_width), depth=c.columns, init=[], attrs=LUT_RAM)
        done = memory.Memory(shape=signed(c.acc_width), depth=c.columns, init=[], attrs=LUT_RAM)
        m.submodules.sums, m.submodules.done = sums, done
        read, write = sums.read_port(domain="comb"), sums.write_port()
        finished, out = done.write_port(), done.read_port(domain="comb")
        m.d.sync += before.eq(Mux(ahead.first, 0, read.data))
        m.d.comb += [
            read.addr.eq(ahead.pixel),
            write.addr.eq(add.pixel),
            write.en.eq(add.valid),
            write.data.eq(before + total),
            finished.addr.eq(add.pixel),
            finished.en.eq(add.valid & add.last),
            finished.data.eq(write.data),
            out.addr.eq(hand.pixel),
        ]
        m.d.sync += self.o.eq(Mux(hand.capture, out.data, self.i_below))
        return m

    @staticmethod
    def _near(m: Module, control: data.View, name: str) -> data.View:
        """Control a cycle later, in registers of this column's own."""
        m.submodules[name] = copy = Copy(len(control.as_value()))
        m.d.comb += copy.i.eq(control)
        return data.View(control.shape(), copy.o)

    def _product(self, m: Module, platform: object, dy: int, tap: Value, weight: Signal) -> Signal:
        """tap * weight after three cycles, the last of them for the way from the chip's multipliers, which lie where
        they lie; the weight is held from i_swap to i_swap."""
        wide = Signal(signed(2 * BLOCK), name=f"product_{dy}")
        if isinstance(platform, LatticeECP5Platform):
            m.submodules[f"multiplier_{dy}"] = block(tap, weight, wide, enable_b=self.i_swap)
        else:
            held, a = Signal.like(weight, name=f"held_{dy}"), Signal(signed(9), name=f"tap_{dy}")
            with m.If(self.i_swap):
                m.d.sync += held.eq(weight)
            m.d.sync += [a.eq(tap), wide.eq(a * held)]
        near = Signal(signed(9 + self.config.weight_bits), name=f"near_{dy}")
        m.d.sync += near.eq(wide)
        return near

    @staticmethod
    def _sum(m: Module, terms: list[Value]) -> Value:
        """Sum of the terms, a register a level."""
        level = 0
        while len(terms) > 1:
            sums: list[Value] = []
            for n in range(0, len(terms), 2):
                pair = terms[n : n + 2]
                value = pair[0] + pair[1] if len(pair) == 2 else pair[0]
                register = Signal(value.shape(), name=f"sum_{level}_{n // 2}")
                m.d.sync += register.eq(value)
                sums.append(register)
            terms, level = sums, level + 1
        return terms[0]
