"""Data of replies that do not depend on the request: identity and counters."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.frame_out import BODY


class ShiftSource(wiring.Component):
    """Takes a copy of ``value`` when started and sends it low byte first, a byte a clock.

    Parameters
    ----------
    size
        Bytes of the value, at least 1.

    Members
    -------
    start : In(1)
        Only while ``o`` is idle.
    value : In(8 * size)
    o : Out(stream of BODY)
    """

    start: Signal
    value: Signal
    o: stream.Interface

    def __init__(self, *, size: int) -> None:
        self.size = size
        super().__init__({"start": In(1), "value": In(8 * size), "o": Out(stream.Signature(BODY))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copy = Signal(8 * self.size)
        left = Signal(range(self.size + 1))
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.byte.eq(copy[:8]),
            self.o.payload.last.eq(left == 1),
        ]
        with m.If(self.start):
            m.d.sync += [copy.eq(self.value), left.eq(self.size)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [copy.eq(copy >> 8), left.eq(left - 1)]
        return m


class ConstantSource(wiring.Component):
    """Sends ``content`` when started, a byte a clock.

    Members
    -------
    start : In(1)
        Only while ``o`` is idle.
    o : Out(stream of BODY)
    """

    start: Signal
    o: stream.Interface

    def __init__(self, content: bytes) -> None:
        self.content = content
        super().__init__({"start": In(1), "o": Out(stream.Signature(BODY))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rom = data.Const(
            data.ArrayLayout(8, len(self.content)), Const.cast(int.from_bytes(self.content, "little")).value
        )
        position = Signal(range(len(self.content)))
        last = position == len(self.content) - 1
        m.d.comb += [self.o.payload.byte.eq(rom[position]), self.o.payload.last.eq(last)]
        with m.If(self.start):
            m.d.sync += self.o.valid.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += position.eq(position + 1)
            with m.If(last):
                m.d.sync += [self.o.valid.eq(0), position.eq(0)]
        return m
