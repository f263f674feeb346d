"""A register in a stream, and a FIFO that ends with one, so that what follows has a whole clock."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, ShapeLike
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


class StreamFifo(wiring.Component):
    """Amaranth's buffered FIFO and one more register. Takes ``depth`` tokens whatever ``o`` does.

    Rate: one a clock. Latency: 3 clocks. ``ready`` does not depend on that of ``o`` in the same clock.

    Parameters
    ----------
    shape
        Of the payload.
    depth
        Tokens it holds, the register not counted.

    Members
    -------
    i : In(stream of shape), o : Out(stream of shape)
    """

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
