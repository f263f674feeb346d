"""Serial port: loop, rate tolerance, spikes, framing errors, a reader that is late."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.errors import BnnhwError
from bnnhw.hw.fifo import StreamFifo
from bnnhw.hw.link.uart import UartReceiver, UartTransmitter, divisor
from bnnhw.sim.kit import Bench

DIVISOR = 16
BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7E, 0x13]


class Loop(wiring.Component):
    """Transmitter into receiver."""

    def __init__(self, transmit, receive):
        self.transmit, self.receive = transmit, receive
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.transmit)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.receive)
        m.d.comb += receiver.rx.eq(transmitter.tx)
        connect(m, flipped(self.i), transmitter.i)
        connect(m, receiver.o, flipped(self.o))
        return m


@pytest.mark.parametrize(
    ("transmit", "receive"), [(8, 8), (9, 9), (33, 33), (100, 102), (102, 100), (50, 48), (48, 50)]
)
@pytest.mark.parametrize("stall", [0.0, 0.98])
def test_bytes_go_through_at_rates_that_differ_a_little(transmit, receive, stall):
    bench = Bench(Loop(transmit, receive), seed=transmit, watchdog=5000)
    bench.drive(bench.dut.i, BYTES, stall=stall)
    got = bench.drain(bench.dut.o, len(BYTES))
    cycles = bench.run()
    assert got == BYTES
    if not stall:
        assert abs(cycles - 10 * transmit * len(BYTES)) < 2 * transmit  # back to back


def levels(byte, stop=1):
    return [0, *(byte >> i & 1 for i in range(8)), stop]


def receive(line, count, *, ready_from=0):
    """What a receiver makes of line levels, one a clock."""
    dut = UartReceiver(divisor=DIVISOR)
    bench = Bench(dut, watchdog=20 * 10 * DIVISOR)

    async def drive_line(ctx):
        for level in [1] * 3 + line + [1] * (3 * DIVISOR):
            ctx.set(dut.rx, level)
            await ctx.tick()

    bench.testbench(drive_line)
    got = bench.drain(dut.o, count, start=ready_from)
    bench.check_empty(dut.o, 3 * DIVISOR, start=len(line) + 10) if not ready_from else None
    bench.run()
    return got


def stretched(bits):
    return [level for level in bits for _ in range(DIVISOR)]


def test_spikes_of_one_clock_do_no_harm():
    line = stretched(levels(0xA5) + levels(0x5A))
    for place in range(3, len(line), 11):
        line[place] ^= 1
    assert receive([1, 0, 1, 1, *line], 2) == [0xA5, 0x5A]


def test_byte_without_stop_bit_is_dropped_and_the_next_is_right():
    line = stretched([*levels(0x3C, stop=0), 0, 0, 0, 1, 1, *levels(0xC3)])
    assert receive(line, 1) == [0xC3]


def test_byte_is_dropped_while_the_one_before_waits():
    line = stretched(levels(0x11) + levels(0x22) + levels(0x33) + [1] * 4 + levels(0x44))
    assert receive(line, 2, ready_from=len(stretched(levels(0))) * 3 + DIVISOR) == [0x11, 0x44]


def test_divisor():
    assert divisor(100_000_000, 3_000_000) == 33
    assert divisor(48_000_000, 3_000_000) == 16
    with pytest.raises(BnnhwError) as caught:
        divisor(20_000_000, 3_000_000)
    assert str(caught.value) == "baud must be at most an eighth of the clock (2500000), not 3000000"
    with pytest.raises(BnnhwError) as caught:
        divisor(34_000_000, 4_000_000)
    assert str(caught.value) == "baud must be within 2% of a whole fraction of the clock (4250000), not 4000000"


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.8), (0.5, 0.5)])
def test_fifo_keeps_order_and_holds_its_depth(stall_in, stall_out):
    dut = StreamFifo(shape=8, depth=16)
    bench = Bench(dut, seed=1)
    tokens = [7 * n % 256 for n in range(100)]
    bench.drive(dut.i, tokens, stall=stall_in)
    got = bench.drain(dut.o, len(tokens), stall=stall_out, start=40)
    cycles = bench.run()
    assert got == tokens
    if not stall_in and not stall_out:
        assert cycles < 40 + len(tokens) + 5
