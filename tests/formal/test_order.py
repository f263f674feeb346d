"""Buffers of the hardware keep the order of their tokens and lose none."""

from dataclasses import replace

import pytest
from amaranth.hdl import Array, Assert, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.fifo import StreamBuffer, StreamFifo, StreamRegister
from bnnhw.hw.memory.rom_stream import RomStream
from bnnhw.hw.scores import Scores
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.kit.formal import prove, prove_order

SCORES = 1


class ScoreBuffer(wiring.Component):
    """Scores with one lane, and an engine that starts a frame when there is room and sends its scores when it likes."""

    def __init__(self, config):
        self.config = replace(config, lanes=1, scores=SCORES, post=replace(config.post, value_width=3))
        super().__init__({"i": In(stream.Signature(3)), "o": Out(stream.Signature(3)), "begin": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.scores = scores = Scores(self.config)
        left = Signal(range(SCORES + 1))
        take = self.i.valid & self.i.ready
        m.d.comb += [
            scores.i_start.eq(self.begin & scores.o_room & (left == 0)),
            self.i.ready.eq(left != 0),
            scores.i_valid.eq(take),
            scores.i_scores[0].eq(self.i.payload),
            self.o.valid.eq(scores.o_scores.valid),
            self.o.payload.eq(scores.o_scores.payload.score),
            scores.o_scores.ready.eq(self.o.ready),
        ]
        m.d.sync += left.eq(Mux(scores.i_start, SCORES, left - take))
        return m


def test_scores():
    network = random_network(1, 0)
    config = prepare(1, 0, network)[0].engine
    prove_order(ScoreBuffer(config), "i", "o", capacity=2 * SCORES, cycles=10)


@pytest.mark.parametrize(
    ("make", "capacity"),
    [
        (lambda: StreamRegister(shape=3), 1),
        (lambda: StreamBuffer(shape=3), 2),
        (lambda: StreamFifo(shape=3, depth=2), 4),
    ],
)
def test_fifos(make, capacity):
    prove_order(make(), "i", "o", capacity=capacity, cycles=10)


@pytest.mark.parametrize("words", [[5], [1, 2], [3, 7, 1, 6, 4]])
def test_rom_stream(words):
    def rules(m, dut):
        number = Signal(range(max(len(words), 2)))
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += number.eq(Mux(number == len(words) - 1, 0, number + 1))
        m.d.comb += Assert(~dut.o.valid | (dut.o.payload == Array(words)[number]), "the words come in order")
        return ()

    prove(RomStream(words, 3), rules, cycles=16)
