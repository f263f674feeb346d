"""Registers in a stream, and a FIFO that ends with them, so that what follows has a whole clock."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal
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


class StreamBuffer(wiring.Component):
    """Holds two tokens, so that neither ``valid`` nor ``ready`` goes through. Rate: one a clock. Latency: 1 clock.

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
        spare, held = Signal.like(self.i.payload), Signal()  # the second token, and whether there is one
        m.d.comb += self.i.ready.eq(~held)
        with m.If(~held):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | held),
                self.o.payload.eq(Mux(held, spare, self.i.payload)),
                held.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += held.eq(1)
        return m


class StreamFifo(wiring.Component):
    """Amaranth's buffered FIFO and a `StreamBuffer`. Takes ``depth`` tokens whatever ``o`` does.

    Rate: one a clock. Latency: 3 clocks. Nothing in it depends on ``o`` in the same clock but that buffer.

    Parameters
    ----------
    shape
        Of the payload.
    depth
        Tokens it holds, the buffer not counted.

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
        m.submodules.buffer = buffer = StreamBuffer(shape=self.shape)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            buffer.i.payload.eq(fifo.r_data),
            buffer.i.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(buffer.i.ready),
        ]
        connect(m, buffer.o, flipped(self.o))
        return m
