"""Job memory: the descriptors of a program in order, frame after frame, each read part by part into a register."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.jobs import parts
from bnnhw.spec.layout import WordLayout


class JobMemory(wiring.Component):
    """o shows word 0, after the first i_take word 1, and so on; after the last word the first again.

    A descriptor is wide and there are few of them: in a memory as wide as the word they would take many block RAMs.
    Bits that are the same in all words, or the same as another bit, take no memory.

    Rate: an i_take every ``period`` cycles. Latency: o_valid is set, and i_take may come, ``period`` cycles after reset
    and after i_take; o is undefined before.

    Parameters
    ----------
    layout, words
        Packed words and their fields.
    names
        Fields wanted; others take no memory.
    """

    def __init__(self, layout: WordLayout, words: Sequence[int], names: Collection[str]) -> None:
        wanted = layout.only(names)
        assert words
        assert wanted.fields
        packed = [wanted.pack({f.name: values[f.name] for f in wanted.fields}) for values in map(layout.unpack, words)]
        self.bits = [tuple(word >> n & 1 for word in packed) for n in range(wanted.width)]
        self.stored = {bit: n for n, bit in enumerate(dict.fromkeys(bit for bit in self.bits if len({*bit}) > 1))}
        self.parts, self.part_bits = parts(len(self.stored))
        self.count = len(words)
        super().__init__({"i_take": In(1), "o_valid": Out(1), "o": Out(struct(wanted))})

    @property
    def period(self) -> int:
        return self.parts + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, depth = self.part_bits, self.count * self.parts
        words = [sum(bit[number] << n for bit, n in self.stored.items()) for number in range(self.count)]
        init = [word >> bits * n & ((1 << bits) - 1) for word in words for n in range(self.parts)]
        m.submodules.rom = rom = ColumnMemory(bits, depth, init=init)
        # The memory's output is a part ahead of the word, the address another one.
        address = Signal(range(max(depth, 2)))
        started, reading = Signal(), Signal()
        left = Signal(range(max(self.parts, 2)))  # parts to read after this one
        word = Signal(bits * self.parts)
        m.d.comb += [rom.i_address.eq(address), rom.i_enable.eq(reading | ~started)]
        m.d.comb += self.o.as_value().eq(
            Cat(word[self.stored[bit]] if bit in self.stored else bit[0] for bit in self.bits)
        )
        with m.If(rom.i_enable):
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        with m.If(reading):
            m.d.sync += [word.eq(Cat(word, rom.o)[bits:]), left.eq(left - 1)]
            m.d.sync += [reading.eq(left != 0), self.o_valid.eq(left == 0)]
        with m.If(self.i_take | ~started):
            m.d.sync += [started.eq(1), reading.eq(1), left.eq(self.parts - 1), self.o_valid.eq(0)]
        return m


__all__ = ["JobMemory"]
