"""A read-only memory played as an endless stream: what an external memory takes over later."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import Out

from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.memory.style import style
from bnnhw.spec.memory import STREAM_FIFO

READING = 4
"""Words that still come after the last request: one in each of four registers."""


class RomStream(wiring.Component):
    """The words in order, then again from the first, without end.

    Rate: one word a cycle, also right after a stall. Latency: 4 cycles from reset to the first word. Block RAMs lie all
    over the chip: their words run through registers without enable into a small FIFO, and a request is made whenever
    it will have room. ``o.ready`` goes to the FIFO's counters only.

    Parameters
    ----------
    words
        Contents of the memory; none at all plays zeros.
    width
        Bits of a word.
    """

    def __init__(self, words: Sequence[int], width: int) -> None:
        self.words, self.width = tuple(words) or (0,), width
        super().__init__({"o": Out(stream.Signature(unsigned(width)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = len(self.words)
        m.submodules.rom = rom = ColumnMemory(self.width, depth, init=self.words)
        m.submodules.fifo = fifo = memory.Memory(
            shape=unsigned(self.width), depth=STREAM_FIFO, init=[], attrs=style(STREAM_FIFO, self.width)
        )
        write, read = fifo.write_port(), fifo.read_port(domain="comb")

        address, request = Signal(range(max(depth, 2))), Signal()
        with m.If(request):
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        read_valid = Signal()
        m.d.comb += [rom.i_enable.eq(1), rom.i_address.eq(address)]
        m.d.sync += [read_valid.eq(request), write.en.eq(read_valid), write.data.eq(rom.o)]
        with m.If(write.en):
            m.d.sync += write.addr.eq(write.addr + 1)

        level = Signal(range(STREAM_FIFO + 1))
        taken = self.o.valid & self.o.ready
        later = Signal.like(level)
        m.d.comb += later.eq(level + write.en - taken)
        m.d.sync += [level.eq(later), self.o.valid.eq(later != 0), request.eq(later <= STREAM_FIFO - READING)]
        with m.If(taken):
            m.d.sync += read.addr.eq(read.addr + 1)
        m.d.comb += self.o.payload.eq(read.data)
        return m
