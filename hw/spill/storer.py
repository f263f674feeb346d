"""Storer: finished rows of a ring to the SDRAM."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD, request
from bnnhw.hw.spill.rows import RowWalk
from bnnhw.spec.sdram import BURST, BURST_BITS, SdramPart


@dataclass(frozen=True)
class StoreSizes:
    """A storer's ring, of ``ring`` words of ``word`` bits that take ``beats`` words of 16 bits each, and the widths of
    the fields that say what is stored."""

    ring: int
    word: int
    beats: int
    passes: int
    rows: int
    subs: int
    burst: int
    bursts: int


def stored_rows(sizes: StoreSizes) -> data.StructLayout:
    """What is stored: numbers of passes, rows, groups, and bursts of a row of a group, each - 1; the first burst, and
    how many it is to that of the next pass, row and group. words: of the ring, that a row of all groups takes."""
    return data.StructLayout(
        {
            "last_pass": sizes.passes,
            "last_row": sizes.rows,
            "last_sub": sizes.subs,
            "last_burst": sizes.burst,
            "words": sizes.ring.bit_length(),
            "base": sizes.bursts,
            "d_pass": sizes.bursts,
            "d_row": sizes.bursts,
            "d_sub": sizes.bursts,
        }
    )


class SpillStorer(wiring.Component):
    """Takes the rows of its ring in order, group by group, each as one request, and cuts value words into words of 16.

    Rate: a word of 16 bits a cycle, and 3 cycles and the grant of its last burst for each row of a group.

    Members
    -------
    i_begin: i_job, which stays, is begun; only when idle. i_done: pulse, a row is in the ring. o_stored: pulse, a row
    has left it.
    o_idle: all is stored: what others ask of the SDRAM from now on comes after it.
    i_valid, i_address, i_word: writes to the ring.
    o_request, o_words, i_busy: of a port of the SDRAM controller.
    """

    def __init__(self, part: SdramPart, sizes: StoreSizes) -> None:
        self.part, self.sizes = part, sizes
        super().__init__(
            {
                "i_begin": In(1),
                "i_job": In(stored_rows(sizes)),
                "i_done": In(1),
                "o_stored": Out(1),
                "o_idle": Out(1),
                "i_valid": In(1),
                "i_address": In(range(sizes.ring)),
                "i_word": In(sizes.word),
                "o_request": Out(stream.Signature(request(part))),
                "o_words": Out(stream.Signature(WRITE_WORD)),
                "i_busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job, sizes = self.i_job, self.sizes
        m.submodules.rows = rows = RowWalk(bursts=sizes.bursts, passes=sizes.passes, rows=sizes.rows, subs=sizes.subs)
        m.d.comb += [
            rows.i_load.eq(self.i_begin),
            rows.i_base.eq(job.base),
            rows.i_d_pass.eq(job.d_pass),
            rows.i_d_row.eq(job.d_row),
            rows.i_d_sub.eq(job.d_sub),
            rows.i_last_pass.eq(job.last_pass),
            rows.i_last_row.eq(job.last_row),
            rows.i_last_sub.eq(job.last_sub),
            self.o_request.payload.burst.eq(rows.o_burst),
            self.o_request.payload.last.eq(job.last_burst),
            self.o_request.payload.write.eq(1),
            self.o_words.payload.enable.eq(0b11),
        ]
        waiting = Signal(range(sizes.ring + 1))  # rows in the ring that are not begun
        begun = Signal()
        m.d.sync += waiting.eq(waiting + self.i_done - begun)
        load, feed, next_word = Signal(), Signal(), Signal()
        at = Signal(range(sizes.ring))
        last = self._feed(m, at, load, feed, next_word)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.o_idle.eq((waiting == 0) & ~self.i_busy)
                with m.If(waiting != 0):
                    m.d.comb += begun.eq(1)
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.o_request.valid.eq(1)
                with m.If(self.o_request.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):  # the row's first word comes out of the memory
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += load.eq(1)
                m.next = "FEED"
            with m.State("FEED"):
                m.d.comb += feed.eq(1)
                with m.If(last):
                    m.d.comb += [rows.i_next.eq(1), self.o_stored.eq(rows.o_last_sub)]
                    m.next = "ASK"
                    with m.If(rows.o_last_sub):
                        m.next = "IDLE"
        self._addresses(m, at, load | next_word, last, rows.o_last_sub)
        return m

    def _feed(self, m: Module, at: Signal, load: Signal, feed: Signal, next_word: Signal) -> Signal:
        """Words of 16 bits of the ring's word ``at`` and those after it, and whatever fills the last burst; drives
        ``next_word``, and returns whether the row's last is taken."""
        sizes = self.sizes
        m.submodules.ring = ring = ColumnMemory(sizes.word, sizes.ring, writable=True)
        word, shifted = Signal(sizes.word), Signal(WORD.width * sizes.beats)
        m.d.comb += [
            ring.i_enable.eq(1),
            ring.i_address.eq(at),
            ring.i_write_valid.eq(self.i_valid),
            ring.i_write_address.eq(self.i_address),
            ring.i_write.eq(self.i_word),
        ]
        m.d.sync += word.eq(ring.o)
        part, left = Signal(range(sizes.beats)), Signal(sizes.burst + BURST_BITS)
        taken, last = Signal(), Signal()
        m.d.comb += [
            self.o_words.valid.eq(feed),
            self.o_words.payload.data.eq(shifted),
            taken.eq(feed & self.o_words.ready),
            next_word.eq(taken & (part == sizes.beats - 1)),
            last.eq(taken & (left == 0)),
        ]
        with m.If(load):
            m.d.sync += [part.eq(0), left.eq(Cat(Const(BURST - 1), self.i_job.last_burst))]
        with m.Elif(taken):
            m.d.sync += [part.eq(Mux(next_word, 0, part + 1)), left.eq(left - 1)]
        with m.If(load | next_word):
            m.d.sync += shifted.eq(word)
        with m.Elif(taken):
            m.d.sync += shifted.eq(shifted >> WORD.width)
        return last

    def _addresses(self, m: Module, at: Signal, following_word: Value, last: Signal, last_sub: Signal) -> None:
        """Of the words in the ring: words of a group are ``subs`` apart."""
        job = self.i_job
        row, sub = Signal.like(at), Signal(self.sizes.subs)
        step = Signal(self.sizes.subs + 1)
        following = Signal.like(at)
        m.d.comb += [step.eq(job.last_sub + 1), following.eq(row + job.words)]
        with m.If(self.i_begin):
            m.d.sync += [at.eq(0), row.eq(0), sub.eq(0)]
        with m.Elif(last):
            with m.If(last_sub):
                m.d.sync += [row.eq(following), at.eq(following), sub.eq(0)]
            with m.Else():
                m.d.sync += [at.eq(row + sub + 1), sub.eq(sub + 1)]
        with m.Elif(following_word):
            m.d.sync += at.eq(at + step)
