"""FIFO of words whose outputs are registers and not those of a block RAM."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.link.fifo import StreamRegister


class WordFifo(wiring.Component):
    """Rate: a word a cycle. Latency: 3 cycles. Takes ``depth`` words whatever ``o`` does."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike, depth: int) -> None:
        self.shape, self.depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=Shape.cast(self.shape).width, depth=self.depth)
        m.submodules.register = register = StreamRegister(shape=self.shape)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            register.i.payload.eq(fifo.r_data),
            register.i.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(register.i.ready),
        ]
        connect(m, register.o, flipped(self.o))
        return m
