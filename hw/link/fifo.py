"""A register in a stream, and a FIFO that ends with one, so that what follows has a whole clock."""

from __future__ import annotations

from amaranth.hdl import Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped


class StreamRegister(wiring.Component):
    """Holds one token. Rate: one a clock. Latency: 1 clock; ``ready`` goes through at once.

    Parameters
    ----------
    shape
        Of the payload.

    Members
    -------
    i : In(stream of shape), o : Out(stream of shape)
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


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
        m.submodules.register = register = StreamRegister(shape=8)
        connect(m, flipped(self.i), fifo.w_stream)
        connect(m, fifo.r_stream, register.i)
        connect(m, register.o, flipped(self.o))
        return m
