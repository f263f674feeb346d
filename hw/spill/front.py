"""Stores the front unit's map in the SDRAM, row by row, the maps of two images in turns."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.sdram.layouts import WRITE_WORD, request
from bnnhw.hw.spill.storer import SpillStorer, StoreSizes
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import FrontStore
from bnnhw.spec.numbers import unsigned_width
from bnnhw.spec.spill import SETTLED, value_beats, written


class FrontStorer(wiring.Component):
    """Rate: see `SpillStorer`.

    Members
    -------
    i_valid, i_address, i_word: writes to the ring of two rows. i_row: pulse, a row is in it; o_stored: one has left it.
    o_settled: pulse, all rows of an image are in the SDRAM, ``SETTLED`` cycles after the last burst was granted.
    o_request, o_words, i_busy: of a port of the SDRAM controller.
    """

    def __init__(self, config: EngineConfig, store: FrontStore) -> None:
        assert config.spill is not None
        assert config.external is not None
        assert written(config.external.timing) <= SETTLED
        self.config, self.store = config, store
        self.storer = SpillStorer(
            config.external.part,
            StoreSizes(
                ring=config.spill.front_words,
                word=config.lanes * config.post.value_width,
                beats=value_beats(config),
                passes=1,
                rows=unsigned_width(store.height),
                subs=unsigned_width(store.groups),
                burst=unsigned_width(store.row),
                bursts=config.spill.burst_bits,
            ),
        )
        members = self.storer.signature.members
        super().__init__(
            {name: members[name] for name in ("i_valid", "i_address", "i_word", "o_stored")}
            | {
                "i_row": In(1),
                "o_settled": Out(1),
                "o_request": Out(stream.Signature(request(config.external.part))),
                "o_words": Out(stream.Signature(WRITE_WORD)),
                "i_busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storer = storer = self.storer
        store, job = self.store, storer.i_job
        second, begin = Signal(), Signal(init=1)
        m.d.comb += [
            job.last_pass.eq(0),
            job.last_row.eq(store.height - 1),
            job.last_sub.eq(store.groups - 1),
            job.last_burst.eq(store.row - 1),
            job.words.eq(store.words),
            job.base.eq(Mux(second, store.base + store.size, store.base)),
            job.d_row.eq(store.row),
            job.d_sub.eq(store.row * store.height),
            storer.i_begin.eq(begin),
            storer.i_done.eq(self.i_row),
            storer.i_busy.eq(self.i_busy),
            storer.i_valid.eq(self.i_valid),
            storer.i_address.eq(self.i_address),
            storer.i_word.eq(self.i_word),
            self.o_stored.eq(storer.o_stored),
        ]
        connect(m, storer.o_request, flipped(self.o_request))
        connect(m, storer.o_words, flipped(self.o_words))
        left, all_stored = Signal(range(store.height + 1), init=store.height), Signal()
        wait = Signal(range(SETTLED))
        m.d.sync += begin.eq(self.o_settled)
        m.d.comb += [
            all_stored.eq((left == 0) & storer.o_idle),
            self.o_settled.eq(all_stored & (wait == SETTLED - 1)),
        ]
        with m.If(self.o_settled):
            m.d.sync += [left.eq(store.height), second.eq(~second), wait.eq(0)]
        with m.Else():
            m.d.sync += [left.eq(left - storer.o_stored), wait.eq(wait + all_stored)]
        return m
