"""Loader: rows of spilled maps from the SDRAM into the ring that the lanes and the pool reader read."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.sdram.layouts import WORD, request
from bnnhw.hw.spill.rows import RowWalk
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.sdram import BURST, BURST_BITS
from bnnhw.spec.spill import spill_layout, value_beats


class SpillLoader(wiring.Component):
    """Asks for the rows of a job, group by group, while the ring has room for them, and puts words of 16 bits together.
    Of two maps a row's groups of the second follow those of the first.

    Rate: a word of 16 bits a cycle. Latency: o_loaded comes with the write of a row's last value word, a cycle after
    the last of its words of 16 bits.

    Members
    -------
    i_begin: i_job, which stays, is begun. i_front: the frame's map of the front unit is the other of its two copies.
    i_release: loaded rows that nobody reads any more.
    o_request, i_words: of a port of the SDRAM controller.
    o_valid, o_address, o_word: writes to the ring. o_loaded: pulse, a row of all groups is loaded.
    """

    def __init__(self, config: EngineConfig, front_size: int) -> None:
        assert config.spill is not None
        assert config.external is not None
        self.config, self.front_size = config, front_size
        self.spill, self.part = config.spill, config.external.part
        self.words = self.spill.load_words
        job = struct(spill_layout(config))
        super().__init__(
            {
                "i_begin": In(1),
                "i_job": In(job),
                "i_front": In(1),
                "i_release": In(job["load_room"].width),
                "o_request": Out(stream.Signature(request(self.part))),
                "i_words": In(stream.Signature(WORD)),
                "o_valid": Out(1),
                "o_address": Out(range(self.words)),
                "o_word": Out(config.lanes * config.post.value_width),
                "o_loaded": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._ask(m)
        self._take(m)
        return m

    def _ask(self, m: Module) -> None:
        job = self.i_job
        asked = self.o_request.valid & self.o_request.ready
        room = Signal.like(job.load_room)
        has_room = Signal()
        front = Mux(job.load_front & self.i_front, self.front_size, 0)
        turn = Signal()  # the second map's
        m.submodules.rows = rows = self._walk(m, "load", asked & ~turn, job.load_base + front)
        offered, burst, first = rows.o_valid, rows.o_burst, rows.o_first_sub
        if self.spill.second:
            m.submodules.second = other = self._walk(m, "second", asked & turn, job.second_base)
            with m.If(self.i_begin):
                m.d.sync += turn.eq(0)
            with m.Elif(asked):
                m.d.sync += turn.eq(Mux(turn, ~other.o_last_sub, rows.o_last_sub & other.o_valid))
            offered, burst = Mux(turn, other.o_valid, offered), Mux(turn, other.o_burst, burst)
            first = first & ~turn
        m.d.comb += [
            has_room.eq(room != 0),
            self.o_request.valid.eq(offered & (~first | has_room)),
            self.o_request.payload.burst.eq(burst),
            self.o_request.payload.last.eq(job.load_last_burst),
        ]
        with m.If(self.i_begin):
            m.d.sync += room.eq(job.load_room)
        with m.Else():
            m.d.sync += room.eq(room + self.i_release - (asked & first))

    def _walk(self, m: Module, name: str, asked: Value, base: Value) -> RowWalk:
        """The rows of the first map ("load") or the second from burst ``base`` on; ``asked``: the next one."""
        job = self.i_job
        rows = RowWalk(
            bursts=len(job.load_base),
            passes=len(job.last_pass),
            rows=len(job.last_y),
            subs=len(job.load_last_sub),
            tiled=self.spill.tiled,
        )
        m.d.comb += [
            rows.i_load.eq(self.i_begin & job[name]),
            rows.i_next.eq(asked),
            rows.i_base.eq(base),
            rows.i_d_pass.eq(job.load_dpass),
            rows.i_d_row.eq(job.load_dy),
            rows.i_d_sub.eq(job.load_dsub),
            rows.i_last_pass.eq(job[f"{name}_last_pass"]),
            rows.i_last_row.eq(job.load_last_row),
            rows.i_last_sub.eq(job.load_last_sub),
        ]
        if self.spill.tiled:
            m.d.comb += rows.i_tile.eq(job[f"{name}_tile"])
        return rows

    def _take(self, m: Module) -> None:
        """Words of 16 bits into value words; what the last burst of a row has beyond them is left out."""
        job, beats = self.i_job, value_beats(self.config)
        beat = Signal(WORD.width * beats)
        part = Signal(range(beats))
        words = Signal(len(job.load_last_burst) + BURST_BITS)  # words of the row of a group taken
        x, sub = Signal.like(job.load_last_x), Signal(len(job.load_last_sub) + self.spill.second)
        useful = Signal(init=1)
        row, to = Signal.like(self.o_address), Signal.like(self.o_address)
        taken = self.i_words.valid
        whole = taken & useful & (part == beats - 1)
        last, step = job.load_last_sub, job.load_last_sub + 1
        row_ends = Signal()  # a row's last word is taken
        if self.spill.second:
            last, step = self._subs(m, row_ends)
        m.d.comb += [self.i_words.ready.eq(1), self.o_word.eq(beat[: len(self.o_word)])]
        m.d.sync += [
            self.o_valid.eq(whole),
            self.o_address.eq(to),
            self.o_loaded.eq(whole & (x == job.load_last_x) & (sub == last)),
        ]
        with m.If(taken):
            m.d.sync += [beat.eq(Cat(beat, self.i_words.payload)[WORD.width :]), words.eq(words + 1)]
            m.d.sync += part.eq(Mux(part == beats - 1, 0, part + 1))
        with m.If(whole):
            m.d.sync += [to.eq(to + step), x.eq(x + 1)]
            with m.If(x == job.load_last_x):
                m.d.sync += useful.eq(0)
        with m.If(taken & (words == Cat(Const(BURST - 1), job.load_last_burst))):
            m.d.sync += [words.eq(0), part.eq(0), x.eq(0), useful.eq(1)]
            last_sub = sub == last
            m.d.comb += row_ends.eq(last_sub)
            following = row + job.load_words
            m.d.sync += [
                sub.eq(Mux(last_sub, 0, sub + 1)),
                row.eq(Mux(last_sub, following, row)),
                to.eq(Mux(last_sub, following, row + sub + 1)),
            ]
        with m.If(self.i_begin):
            m.d.sync += [row.eq(0), to.eq(0)]

    def _subs(self, m: Module, row_ends: Signal) -> tuple[Signal, Signal]:
        """The last group of the row that is taken, which is the second map's in passes with it, and how many groups a
        row has in the ring."""
        job = self.i_job
        one, both = Signal.like(job.load_last_sub), Signal(len(job.load_last_sub) + 1)
        step = Signal(len(job.load_last_sub) + 2)
        m.d.comb += [one.eq(job.load_last_sub), both.eq(Cat(Const(1, 1), one))]  # 2 * (one + 1) - 1
        m.d.comb += step.eq(Mux(job.second, both, one) + 1)
        pair, rows, passes = Signal(), Signal.like(job.load_last_row), Signal.like(job.second_last_pass)  # left
        with m.If(self.i_begin):
            m.d.sync += [pair.eq(job.second), rows.eq(job.load_last_row), passes.eq(job.second_last_pass)]
        with m.Elif(row_ends):
            m.d.sync += rows.eq(Mux(rows == 0, job.load_last_row, rows - 1))
            with m.If(rows == 0):
                m.d.sync += [passes.eq(passes - 1), pair.eq(pair & (passes != 0))]
        last = Signal.like(both)
        m.d.comb += last.eq(Mux(pair, both, one))
        return last, step
