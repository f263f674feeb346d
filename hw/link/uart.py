"""Serial port: 8 data bits, no parity, 1 stop bit, least significant bit first."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.errors import BnnhwError

MAX_BAUD_ERROR = 0.02
"""Largest deviation from the wanted rate; the last bit of ten is then off by a fifth of a bit at most."""


def divisor(clock_hz: float, baud: int) -> int:
    """Clocks per bit for ``baud``. Raises BnnhwError when that is under 8 or further off than `MAX_BAUD_ERROR`."""
    clocks = round(clock_hz / baud)
    if clocks < 8:
        raise BnnhwError(f"baud must be at most an eighth of the clock ({clock_hz / 8:.0f}), not {baud}")
    if abs(clock_hz / clocks / baud - 1) > MAX_BAUD_ERROR:
        raise BnnhwError(
            f"baud must be within {MAX_BAUD_ERROR:.0%} of a whole fraction of the clock "
            f"({clock_hz / clocks:.0f}), not {baud}"
        )
    return clocks


class UartReceiver(wiring.Component):
    """Bytes from a serial line.

    Every clock takes a sample; a bit is the majority of the three samples around its middle, so that a spike of one
    clock does no harm. A byte whose stop bit is 0 is dropped, and nothing starts before the line is 1 again.

    Rate: a byte every 10 * divisor clocks, 1 clock after the middle of its stop bit. The line cannot wait: a byte that
    is ready while the one before it was not taken is dropped.

    Parameters
    ----------
    divisor
        Clocks per bit, from `divisor`.

    Members
    -------
    rx : In(1)
        The line, synchronised to the clock; 1 when idle.
    o : Out(stream of 8 bits)
    """

    rx: Signal
    o: stream.Interface

    def __init__(self, *, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        samples = Signal(3, init=0b111)
        vote, level = Signal(init=1), Signal(init=1)
        m.d.sync += [
            samples.eq(Cat(self.rx, samples)),
            vote.eq((samples[0] & samples[1]) | (samples[1] & samples[2]) | (samples[0] & samples[2])),
            level.eq(vote),  # from the pin to where the rest is
        ]
        wait = Signal(range(self.divisor + self.divisor // 2))
        bits = Signal(range(10))
        byte = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.FSM():
            with m.State("idle"):
                with m.If(~level):
                    m.d.sync += [wait.eq(self.divisor // 2 - 1), bits.eq(0)]
                    m.next = "start"
            with m.State("start"), m.If(wait == 0):
                m.d.sync += wait.eq(self.divisor - 1)
                m.next = "data"
                with m.If(level):
                    m.next = "idle"
            with m.State("data"), m.If(wait == 0):
                m.d.sync += [wait.eq(self.divisor - 1), byte.eq(Cat(byte[1:], level)), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "stop"
            with m.State("stop"), m.If(wait == 0):
                m.next = "idle"
                with m.If(~level):
                    m.next = "break"
                with m.Elif(~self.o.valid | self.o.ready):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(byte)]
            with m.State("break"), m.If(level):
                m.next = "idle"
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a serial line.

    Rate: a byte every 10 * divisor clocks; its start bit begins 1 clock after it is taken.

    Parameters
    ----------
    divisor
        Clocks per bit, from `divisor`.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
        The line; 1 when idle.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = Signal(9, init=0x1FF)
        left = Signal(range(11))
        wait = Signal(range(self.divisor))
        last_clock = Signal()
        m.d.comb += [last_clock.eq(wait == 0), self.i.ready.eq((left == 0) | ((left == 1) & last_clock))]
        m.d.sync += wait.eq(Mux(last_clock, self.divisor - 1, wait - 1))
        with m.If(last_clock & (left != 0)):
            m.d.sync += [Cat(self.tx, shift).eq(Cat(shift, Const(1, 1))), left.eq(left - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.i.payload, Const(1, 1))),
                left.eq(10),
                wait.eq(self.divisor - 1),
            ]
        return m
