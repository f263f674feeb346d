"""The accepted block on its way out of the frame buffer."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.link import HEAD_BYTES


class BlockForwarder(wiring.Component):
    """Reads the payload of a frame that was taken with ``hold`` (`FrameReceiver`) and sends it on.

    Rate: a byte every 3 clocks.

    Members
    -------
    accept : In(1), length : In(8), bank : In(1)
        Take the block of ``length`` bytes in ``bank`` of the frame buffer. Only while not ``busy``.
    busy : Out(1)
        A block is being forwarded.
    address : Out(9), data : In(8)
        The frame buffer.
    o : Out(stream of 8 bits)
    """

    accept: Signal
    length: Signal
    bank: Signal
    busy: Signal
    address: Signal
    data: Signal
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "accept": In(1),
                "length": In(8),
                "bank": In(1),
                "busy": Out(1),
                "address": Out(9),
                "data": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, position, bank = Signal(8), Signal(8), Signal()
        m.d.comb += [self.busy.eq(left != 0), self.address.eq(position), self.address[8].eq(bank)]
        with m.If(self.accept):
            m.d.sync += [left.eq(self.length), position.eq(HEAD_BYTES), bank.eq(self.bank)]
        # One clock until the buffer answers, one into a register: a block RAM's output alone takes most of a clock.
        fetched = Signal()
        with m.If(self.o.valid):
            with m.If(self.o.ready):
                m.d.sync += [self.o.valid.eq(0), left.eq(left - 1), position.eq(position + 1)]
        with m.Elif(fetched):
            m.d.sync += [self.o.payload.eq(self.data), self.o.valid.eq(1), fetched.eq(0)]
        with m.Elif(self.busy):
            m.d.sync += fetched.eq(1)
        return m
