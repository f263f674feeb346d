"""The kit finds faults it was made for, and lets correct components pass."""

import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.sim.kit import Bench, BrokenRule, Stuck, stream_ports

PAIR = data.StructLayout({"value": 7, "last": 1})


class Register(wiring.Component):
    """One token of storage; ``fault`` plants a bug."""

    def __init__(self, fault=""):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        if self.fault == "waits":  # a producer must not wait for ready
            m.d.comb += [self.o.valid.eq(self.i.valid & self.o.ready), self.o.payload.eq(self.i.payload)]
            m.d.comb += self.i.ready.eq(self.o.ready & self.o.valid)
            return m
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        if self.fault == "drops":
            m.d.sync += self.o.valid.eq(0)
        free = self.i.valid if self.fault == "overwrites" else ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(free)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(1)]
        return m


def pass_through(dut, stall_in, stall_out, seed=1, count=60):
    bench = Bench(dut, seed=seed, watchdog=200)
    tokens = [(7 * i + 3) % 256 for i in range(count)]
    bench.drive(dut.i, tokens, stall=stall_in)
    got = bench.drain(dut.o, count, stall=stall_out)
    cycles = bench.run()
    return tokens, got, cycles


@pytest.mark.parametrize("stall_in", [0.0, 0.5])
@pytest.mark.parametrize("stall_out", [0.0, 0.7])
def test_correct_register_passes(stall_in, stall_out):
    tokens, got, _ = pass_through(Register(), stall_in, stall_out)
    assert got == tokens


def test_full_speed_is_full_speed():
    _, _, cycles = pass_through(Register(), 0.0, 0.0)
    assert cycles <= 63


def test_same_seed_same_cycles():
    runs = [pass_through(Register(), 0.4, 0.4, seed=seed)[2] for seed in (5, 5, 6)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("fault", "text"),
    [("drops", r"^o: valid fell in cycle \d+ before the token was taken$"),
     ("overwrites", r"^o: payload changed in cycle \d+ from 0x[0-9a-f]+ to 0x[0-9a-f]+ untaken$")],
)  # fmt: skip
def test_broken_rules_are_found(fault, text):
    with pytest.raises(BrokenRule, match=text):
        pass_through(Register(fault), 0.0, 0.6)


def test_producer_that_waits_for_ready_gets_stuck():
    with pytest.raises(Stuck, match=r"^nothing moved for 200 cycles; i: \d+ of 60 tokens sent; o: \d+ of 60 tokens"):
        pass_through(Register("waits"), 0.0, 0.6)


def test_structs_come_back_as_dicts():
    dut = fifo_of(PAIR)
    bench = Bench(dut)
    tokens = [{"value": i, "last": i % 2} for i in range(10)]
    bench.drive(dut.i, tokens)
    got = bench.drain(dut.o, 10, stall=0.3)
    bench.run()
    assert got == tokens


def test_check_empty_finds_a_token():
    dut = fifo_of(8)
    bench = Bench(dut)
    bench.drive(dut.i, [1])
    bench.check_empty(dut.o, 20)
    with pytest.raises(AssertionError, match=r"^o: a token in cycle \d+ where none may be$"):
        bench.run()


def test_testbench_keeps_the_run_alive(tmp_path):
    dut = Register()
    bench = Bench(dut)
    seen = []

    async def look(ctx):
        for _ in range(30):
            await ctx.tick()
        seen.append(ctx.get(dut.o.valid))

    bench.testbench(look)
    assert bench.run(wave=tmp_path / "wave.vcd") >= 30
    assert seen == [0]
    assert (tmp_path / "wave.vcd").stat().st_size


def test_stream_ports_names_nested_streams():
    port = wiring.Signature({"request": Out(stream.Signature(8)), "reply": In(stream.Signature(8))})
    nested = wiring.Signature({"a": Out(port), "b": In(port).array(2), "n": In(3)}).create()
    flows = [(name, flow) for name, flow, _ in stream_ports(nested)]
    assert flows == [
        ("a__request", Out), ("a__reply", In),
        ("b__0__request", In), ("b__0__reply", Out), ("b__1__request", In), ("b__1__reply", Out),
    ]  # fmt: skip


def fifo_of(shape):
    """A four-deep FIFO with stream ports."""

    class Fifo(wiring.Component):
        def __init__(self):
            super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

        def elaborate(self, platform):
            m = Module()
            width = Shape.cast(shape).width
            m.submodules.fifo = inner = fifo.SyncFIFOBuffered(width=width, depth=4)
            m.d.comb += [
                inner.w_data.eq(self.i.payload), inner.w_en.eq(self.i.valid), self.i.ready.eq(inner.w_rdy),
                self.o.payload.eq(inner.r_data), self.o.valid.eq(inner.r_rdy), inner.r_en.eq(self.o.ready),
            ]  # fmt: skip
            return m

    return Fifo()
