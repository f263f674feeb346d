"""A FIFO whose output is a register, so that what follows has a whole clock."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped


class ByteFifo(wiring.Component):
    """Amaranth's buffered FIFO and one more register.

    Rate: a byte a clock. Latency: 3 clocks.

    Parameters
    ----------
    depth
        Bytes it holds, the register not counted.

    Members
    -------
    i : In(stream of 8 bits), o : Out(stream of 8 bits)
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, depth: int) -> None:
        self.depth = depth
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=self.depth)
        connect(m, flipped(self.i), fifo.w_stream)
        m.d.comb += fifo.r_stream.ready.eq(~self.o.valid | self.o.ready)
        with m.If(fifo.r_stream.ready):
            m.d.sync += [self.o.valid.eq(fifo.r_stream.valid), self.o.payload.eq(fifo.r_stream.payload)]
        return m
