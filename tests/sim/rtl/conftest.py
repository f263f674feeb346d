"""A small component with the engine's ports and a known function, to test the simulation runner with."""

import numpy as np
import pytest
from amaranth.hdl import Array, Module, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

SCORE = data.StructLayout({"score": signed(19), "last": 1})


class StandIn(wiring.Component):
    """score[k] = sum over bytes i of image[i] * weights[k][i], then ``wait`` cycles; counters are (frame, bytes, ...).

    Not double-buffered. ``fault``: "stuck" loses the last score, "long" marks last one score late.
    """

    def __init__(self, weights, wait=3, fault=""):
        self.weights, self.wait, self.fault = np.asarray(weights), wait, fault
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "o_scores": Out(stream.Signature(SCORE)),
                "counters": Out(data.ArrayLayout(32, 7)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        scores, count = self.weights.shape
        mask = (1 << 8) - 1
        rows = [sum((int(w) & mask) << 8 * k for k, w in enumerate(column)) for column in self.weights.T]
        m.submodules.rom = rom = memory.Memory(shape=8 * scores, depth=count, init=rows)
        read = rom.read_port(domain="comb")
        index, out, wait, frame = Signal(range(count + 1)), Signal(range(scores + 2)), Signal(16), Signal(32)
        sums = [Signal(signed(19), name=f"sum_{k}") for k in range(scores)]
        m.d.comb += read.addr.eq(index)
        m.d.sync += frame.eq(frame + 1)
        with m.FSM():
            with m.State("IMAGE"):
                m.d.comb += self.i_image.ready.eq(1)
                with m.If(self.i_image.valid):
                    m.d.sync += index.eq(index + 1)
                    for k, total in enumerate(sums):
                        m.d.sync += total.eq(total + self.i_image.payload * read.data.word_select(k, 8).as_signed())
                    with m.If(index == count - 1):
                        m.d.sync += [wait.eq(self.wait), out.eq(0)]
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "SCORES"
            with m.State("SCORES"):
                end = scores - 1 + (self.fault == "long")
                m.d.comb += [
                    self.o_scores.valid.eq((out != end) if self.fault == "stuck" else 1),
                    self.o_scores.payload.score.eq(Array(sums)[out]),
                    self.o_scores.payload.last.eq(out == end),
                ]
                with m.If(self.o_scores.valid & self.o_scores.ready):
                    m.d.sync += out.eq(out + 1)
                    with m.If(self.o_scores.payload.last):
                        m.d.sync += [index.eq(0), frame.eq(0), *(total.eq(0) for total in sums)]
                        m.d.sync += [
                            self.counters[0].eq(frame + 1),
                            self.counters[1].eq(count),
                            self.counters[6].eq(wait),
                        ]
                        m.next = "IMAGE"
        return m


@pytest.fixture
def stand_in():
    return StandIn
