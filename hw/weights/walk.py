"""Plays the decode words of a codebook pass over and over, once for each column group."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.style import style
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import decode_layout, load_layout


class DecodeWalk(wiring.Component):
    """o shows decode words i_first, i_first + 1, .. i_first + i_last, and from i_first again, one for each i_next.

    Rate: one word a cycle. Latency: o shows the first word ``latency`` cycles after i_start, and the next one in the
    cycle after i_next. i_first and i_last must hold from the cycle after i_start on.

    Parameters
    ----------
    config
        Its layouts.
    decodes
        All decode words.
    """

    latency = 5

    def __init__(self, config: EngineConfig, decodes: Sequence[int]) -> None:
        self.decodes = tuple(decodes)
        fields = struct(load_layout(config)).members
        super().__init__(
            {
                "i_start": In(1),
                "i_first": In(fields["decode"]),
                "i_last": In(fields["last_word"]),
                "i_next": In(1),
                "o": Out(struct(decode_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rom = rom = memory.Memory(
            shape=unsigned(self.o.as_value().shape().width),
            depth=len(self.decodes),
            init=self.decodes,
            attrs=style(len(self.decodes), len(self.o.as_value()), rom=True),
        )
        port = rom.read_port()
        left, ends = Signal.like(self.i_last), Signal()  # words after the one at ``address``; whether there are none
        address = Signal.like(self.i_first)
        started = Signal(self.latency - 1)
        move = Signal()
        m.d.comb += [move.eq(started[1:].any() | self.i_next), port.en.eq(move), port.addr.eq(address)]
        m.d.sync += started.eq((started << 1) | self.i_start)
        with m.If(started[0] | (move & ends)):
            m.d.sync += [left.eq(self.i_last), ends.eq(self.i_last == 0), address.eq(self.i_first)]
        with m.Elif(move):
            m.d.sync += [left.eq(left - 1), ends.eq(left == 1), address.eq(address + 1)]
        # Two registers: the first is the block RAM's own, and what decides on loading cannot lie there.
        answer = Signal.like(port.data)
        with m.If(move):
            m.d.sync += [answer.eq(port.data), self.o.eq(answer)]
        return m
