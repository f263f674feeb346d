"""A register slice and a FIFO with planted bugs, to test that proofs find them."""

import pytest
from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Buffer(wiring.Component):
    """Up to two tokens in order; ``fault`` plants a bug."""

    def __init__(self, fault=""):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4))})

    def elaborate(self, platform):
        m = Module()
        slots = Array([Signal(4, name="slot_0"), Signal(4, name="slot_1")])
        read, write, count = Signal(), Signal(), Signal(2)
        full = 3 if self.fault == "overflows" else 2
        m.d.comb += [self.i.ready.eq(count != full), self.o.valid.eq(count != 0), self.o.payload.eq(slots[read])]
        take, give = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        if self.fault == "gives up":
            patience = Signal(3)
            m.d.sync += patience.eq(patience + (self.o.valid & ~self.o.ready))
            give = (self.o.valid & self.o.ready) | (patience == 5)
        m.d.sync += count.eq(count + take - give)
        with m.If(take):
            m.d.sync += [slots[write].eq(self.i.payload), write.eq(~write)]
        with m.If(give):
            m.d.sync += read.eq(~read)
        if self.fault == "swaps":
            with m.If(take & (count == 1) & ~give & (self.i.payload == 13)):
                m.d.sync += read.eq(write)
        return m


@pytest.fixture
def buffer():
    return Buffer
