"""The image being received: which one, how far, and its accepted block on the way to the engine."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.link import HEAD_BYTES


class ImageReceiver(wiring.Component):
    """Keeps id and expected offset of the image begun last and forwards accepted blocks to the engine.

    A block counts as received when it is accepted; forwarding it may take as long as the engine makes it wait.

    Rate: a byte every 3 clocks to the engine.

    Parameters
    ----------
    size
        Bytes of an image.

    Members
    -------
    begin : In(1)
        Start image ``image``; a partly received one is dropped. Only while not ``busy``.
    accept : In(1)
        Take the block of ``length`` bytes in ``bank`` of the frame buffer. Only while not ``busy``.
    image : In(32), length : In(8), bank : In(1)
    current : Out(32)
        Id of the image begun last, 0 for none.
    expected : Out
        Offset of the byte that comes next; ``size`` when the image is complete.
    partial : Out(1)
        An image has begun and is not complete.
    completed : Out(1)
        1 clock after ``accept``: that block completed the image.
    busy : Out(1)
        A block is being forwarded.
    address : Out(9), data : In(8)
        The frame buffer.
    o : Out(stream of 8 bits), o_abort : Out(1)
        To the engine; ``o_abort`` drops what it has of a partly received image, and never comes with a valid byte.
    """

    begin: Signal
    accept: Signal
    image: Signal
    length: Signal
    bank: Signal
    current: Signal
    expected: Signal
    partial: Signal
    completed: Signal
    busy: Signal
    address: Signal
    data: Signal
    o: stream.Interface
    o_abort: Signal

    def __init__(self, *, size: int) -> None:
        self.size = size
        super().__init__(
            {
                "begin": In(1),
                "accept": In(1),
                "image": In(32),
                "length": In(8),
                "bank": In(1),
                "current": Out(32),
                "expected": Out(range(size + 1)),
                "partial": Out(1),
                "completed": Out(1),
                "busy": Out(1),
                "address": Out(9),
                "data": In(8),
                "o": Out(stream.Signature(8)),
                "o_abort": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accepted = Signal()
        m.d.sync += [accepted.eq(self.accept), self.o_abort.eq(self.begin & self.partial)]
        left, position, bank = Signal(8), Signal(8), Signal()
        m.d.comb += [
            self.partial.eq((self.current != 0) & (self.expected != self.size)),
            self.busy.eq(left != 0),
            self.address.eq(position),
            self.address[8].eq(bank),
            self.completed.eq(accepted & (self.expected == self.size)),
        ]
        with m.If(self.begin):
            m.d.sync += [self.current.eq(self.image), self.expected.eq(0)]
        with m.If(self.accept):
            m.d.sync += [
                self.expected.eq(self.expected + self.length),
                left.eq(self.length),
                position.eq(HEAD_BYTES),
                bank.eq(self.bank),
            ]
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
