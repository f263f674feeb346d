"""Descriptor memory: the words of a program in their order, frame after frame, each ready in a register."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.style import style
from bnnhw.spec.layout import WordLayout


class Descriptors(wiring.Component):
    """o shows word 0, after the first i_next word 1, and so on; after the last word the first again.

    A register behind the memory's slow output holds the word, so that a user may compute with it at once.

    Rate: an i_next every second cycle. Latency: o shows the next word in the cycle after i_next; o_valid is set, and
    i_next may come, from 3 cycles after reset on.

    Parameters
    ----------
    layout, words
        Packed words and their fields.
    names
        Fields wanted; others take no memory.
    """

    def __init__(self, layout: WordLayout, words: Sequence[int], names: Sequence[str]) -> None:
        wanted = WordLayout(tuple(f for f in layout.fields if f.name in names and f.width))
        assert words
        assert wanted.fields
        self.words = [
            wanted.pack({f.name: values[f.name] for f in wanted.fields}) for values in map(layout.unpack, words)
        ]
        super().__init__({"i_next": In(1), "o_valid": Out(1), "o": Out(struct(wanted))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = len(self.words)
        width = self.o.as_value().shape().width
        m.submodules.rom = rom = memory.Memory(
            shape=unsigned(width), depth=depth, init=self.words, attrs=style(depth, width, rom=True)
        )
        port = rom.read_port()
        address = Signal(range(max(depth, 2)))
        started = Signal(3)
        move = Signal()
        m.d.comb += [
            port.addr.eq(address),
            move.eq(self.i_next | (started == 0b001)),
            self.o_valid.eq(started[-1]),
        ]
        m.d.sync += started.eq((started << 1) | 1)
        with m.If(move):
            m.d.sync += [self.o.eq(port.data), address.eq(Mux(address == depth - 1, 0, address + 1))]
        return m
