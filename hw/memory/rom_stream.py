"""A read-only memory played as an endless stream: what an external memory takes over later."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from bnnhw.hw.memory.columns import ColumnMemory


class RomStream(wiring.Component):
    """The words in order, then again from the first, without end.

    Rate: one word a cycle, also right after a stall. Latency: 3 cycles from reset to the first word. ``o.ready`` goes
    no further than the output and skid registers; memory and address counter see it a cycle later.

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
        address = Signal(range(max(depth, 2)))
        m.d.comb += rom.i_address.eq(address)

        # Three stages hold words behind the output: the memory's two registers and the skid. While the skid is taken the
        # first two stand still; ``free`` is their enable and therefore a register.
        read_valid, word_valid, free = Signal(), Signal(), Signal(init=1)
        word, skid, payload = (Signal(self.width, name=n, reset_less=True) for n in ("word", "skid", "payload"))
        m.d.comb += rom.i_enable.eq(free)
        with m.If(free):
            m.d.sync += [address.eq(Mux(address == depth - 1, 0, address + 1)), read_valid.eq(1)]
            m.d.sync += [word.eq(rom.o), word_valid.eq(read_valid)]

        m.d.comb += self.o.payload.eq(payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [payload.eq(Mux(free, word, skid)), self.o.valid.eq(word_valid | ~free), free.eq(1)]
        with m.Elif(free & word_valid):
            m.d.sync += [skid.eq(word), free.eq(0)]
        return m
