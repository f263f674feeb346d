"""Score output: vectors of scores become a stream of single scores in class order."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.fifo import StreamFifo
from bnnhw.spec.engine import EngineConfig


class Scores(wiring.Component):
    """Buffers the vectors of up to two frames and sends their scores one by one; padding lanes and vectors are dropped.

    Members
    -------
    i_valid, i_scores: a vector, never refused. o_room: a whole frame's vectors can be taken (a frame starts only then).
    i_start: a frame starts. o_scores: score and whether it is the frame's last.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        width = config.post.value_width
        super().__init__(
            {
                "i_start": In(1),
                "i_valid": In(1),
                "i_scores": In(data.ArrayLayout(signed(width), config.lanes)),
                "o_room": Out(1),
                "o_scores": Out(stream.Signature(data.StructLayout({"score": signed(width), "last": 1}))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, width = self.config, self.config.post.value_width
        vectors = -(-c.scores // c.lanes)
        m.submodules.fifo = buffer = StreamFifo(shape=unsigned(c.lanes * width), depth=2 * vectors + 1)
        # The last pass may have more channel groups than there are scores.
        left = Signal(range(vectors + 1))
        m.d.sync += [buffer.i.valid.eq(self.i_valid & (left != 0)), buffer.i.payload.eq(self.i_scores.as_value())]
        with m.If(self.i_start):
            m.d.sync += left.eq(vectors)
        with m.Elif(self.i_valid & (left != 0)):
            m.d.sync += left.eq(left - 1)

        # Frames promised room: started and not yet sent.
        frames = Signal(2)
        sent = self.o_scores.valid & self.o_scores.ready & self.o_scores.payload.last
        m.d.sync += frames.eq(frames + self.i_start - sent)
        m.d.comb += self.o_room.eq(frames != 2)

        lane, score = Signal(range(max(c.lanes, 2))), Signal(range(max(c.scores, 2)))
        last = Signal()
        m.d.comb += [
            last.eq(score == c.scores - 1),
            self.o_scores.valid.eq(buffer.o.valid),
            self.o_scores.payload.last.eq(last),
            self.o_scores.payload.score.eq(buffer.o.payload.word_select(lane, width).as_signed()),
        ]
        with m.If(self.o_scores.valid & self.o_scores.ready):
            vector_end = last | (lane == c.lanes - 1)
            m.d.sync += [lane.eq(Mux(vector_end, 0, lane + 1)), score.eq(Mux(last, 0, score + 1))]
            m.d.comb += buffer.o.ready.eq(vector_end)
        return m
