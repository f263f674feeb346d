"""The image being received: which one, and how far. Images that are left incomplete are filled up."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped


class ImageReceiver(wiring.Component):
    """Keeps id and expected offset of the image begun last; the engine gets whole images only.

    A block counts as received when it is accepted. An image of which the engine has a part and that is begun over is
    abandoned: the engine gets zeros for what is missing of it.

    Parameters
    ----------
    size
        Bytes of an image.

    Members
    -------
    begin : In(1)
        Start image ``image``. Only while not ``filling`` and with no block on its way.
    accept : In(1)
        A block of ``length`` bytes is taken. Only as ``begin``.
    image : In(32), length : In(8)
    current : Out(32)
        Id of the image begun last, 0 for none.
    expected : Out
        Offset of the byte that comes next; ``size`` when the image is complete.
    partial : Out(1)
        An image has begun and is not complete.
    abandons : Out(1)
        The engine has a part of that image: ``begin`` abandons it. Its scores will come.
    completed : Out(1)
        2 clocks after ``accept``: that block completed the image.
    filling : Out(1)
        An abandoned image is being filled up.
    i : In(stream of 8 bits), o : Out(stream of 8 bits)
        From the accepted blocks to the engine.
    """

    begin: Signal
    accept: Signal
    image: Signal
    length: Signal
    current: Signal
    expected: Signal
    partial: Signal
    abandons: Signal
    completed: Signal
    filling: Signal
    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, size: int) -> None:
        self.size = size
        super().__init__(
            {
                "begin": In(1),
                "accept": In(1),
                "image": In(32),
                "length": In(8),
                "current": Out(32),
                "expected": Out(range(size + 1)),
                "partial": Out(1),
                "abandons": Out(1),
                "completed": Out(1),
                "filling": Out(1),
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accepted = Signal(2)
        begun, some, complete = Signal(), Signal(), Signal()  # a clock late: nothing asks so soon
        missing = Signal(range(self.size + 1))  # bytes of the abandoned image
        m.d.sync += [
            accepted.eq(Cat(self.accept, accepted)),
            begun.eq(self.current != 0),
            some.eq(self.expected != 0),
            complete.eq(self.expected == self.size),
        ]
        m.d.comb += [
            self.partial.eq(begun & ~complete),
            self.abandons.eq(self.partial & some),
            self.completed.eq(accepted[1] & complete),
        ]
        with m.If(self.begin):
            m.d.sync += [self.current.eq(self.image), self.expected.eq(0)]
            with m.If(self.abandons):
                m.d.sync += [missing.eq(self.size - self.expected), self.filling.eq(1)]
        with m.If(self.accept):
            m.d.sync += self.expected.eq(self.expected + self.length)
        connect(m, flipped(self.i), flipped(self.o))
        with m.If(self.filling):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(0)]
            with m.If(self.o.ready):
                m.d.sync += [missing.eq(missing - 1), self.filling.eq(missing != 1)]
        return m
