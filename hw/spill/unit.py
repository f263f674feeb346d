"""Spill unit: loads and stores rows of spilled maps beside the lanes, and says which rows of a job may be issued."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.layouts import struct
from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD, request
from bnnhw.hw.sequencer.jobs import JobMemory
from bnnhw.hw.spill.loader import SpillLoader
from bnnhw.hw.spill.needs import NeedWalk
from bnnhw.hw.spill.storer import SpillStorer, StoreSizes
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images
from bnnhw.spec.spill import spill_layout, value_beats


class SpillUnit(wiring.Component):
    """Follows the jobs that load or store, in order.

    A job begins when the issue unit has begun it (i_job) and all that earlier ones stored is in the SDRAM. From then on
    rows are loaded while their ring has room, permitted one a cycle once all they need is loaded and what they make has
    room, and stored as they are done.

    Members
    -------
    i_job: pulse, the issue unit begins the next job that loads or stores. o_permitted: its next row may be issued;
    i_row: it is, in this cycle. i_done: pulse, all that a row reads and writes is read and written.
    i_front: the frame's map of the front unit is the second of the two.
    i_valid, i_address, i_word: writes to the ring of what is stored; o_valid, o_address, o_word: to that of what is
    loaded.
    o_load, i_loaded, o_store, o_stored, i_busy: requests, words and busy output of the SDRAM's ports.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        assert config.spill is not None
        assert config.external is not None
        self.config, self.images, self.spill = config, images, config.spill
        part, word = config.external.part, config.lanes * config.post.value_width
        self.loader = SpillLoader(config, images.front_store.size if images.front_store else 0)
        job = struct(spill_layout(config))
        self.storer = SpillStorer(
            part,
            StoreSizes(
                ring=self.spill.store_words,
                word=word,
                beats=value_beats(config),
                passes=job["last_pass"].width,
                rows=job["last_y"].width,
                subs=job["last_sub"].width,
                burst=job["store_last_burst"].width,
                bursts=config.spill.burst_bits,
            ),
        )
        super().__init__(
            {
                "i_job": In(1),
                "o_permitted": Out(1),
                "i_row": In(1),
                "i_done": In(1),
                "i_front": In(1),
                "i_valid": In(1),
                "i_address": In(range(self.spill.store_words)),
                "i_word": In(word),
                "o_valid": Out(1),
                "o_address": Out(range(self.spill.load_words)),
                "o_word": Out(word),
                "o_load": Out(stream.Signature(request(part))),
                "i_loaded": In(stream.Signature(WORD)),
                "o_store": Out(stream.Signature(request(part))),
                "o_stored": Out(stream.Signature(WRITE_WORD)),
                "i_busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = spill_layout(self.config)
        names = [f.name for f in layout.fields]
        m.submodules.jobs = jobs = JobMemory(layout, self.images.spills, names)
        m.submodules.loader = loader = self.loader
        m.submodules.storer = storer = self.storer
        job = Signal(jobs.o.shape())
        begin, waits, go = Signal(), Signal(), Signal()
        m.d.comb += [go.eq(waits & storer.o_idle & jobs.o_valid), jobs.i_take.eq(go)]
        m.d.sync += begin.eq(go)
        with m.If(go):
            m.d.sync += [job.eq(jobs.o), waits.eq(0)]
        with m.Elif(self.i_job):
            m.d.sync += waits.eq(1)

        connect(m, loader.o_request, flipped(self.o_load))
        connect(m, flipped(self.i_loaded), loader.i_words)
        connect(m, storer.o_request, flipped(self.o_store))
        connect(m, storer.o_words, flipped(self.o_stored))
        m.submodules.done = done = NeedWalk(self.config)
        m.d.comb += [
            done.i_load.eq(begin),
            done.i_job.eq(job),
            done.i_next.eq(self.i_done),
            loader.i_begin.eq(begin),
            loader.i_job.eq(job),
            loader.i_front.eq(self.i_front),
            self.o_valid.eq(loader.o_valid),
            self.o_address.eq(loader.o_address),
            self.o_word.eq(loader.o_word),
            storer.i_begin.eq(begin & job.store),
            storer.i_done.eq(self.i_done & job.store),
            storer.i_busy.eq(self.i_busy),
            storer.i_valid.eq(self.i_valid),
            storer.i_address.eq(self.i_address),
            storer.i_word.eq(self.i_word),
        ]
        with m.If(self.i_done):
            m.d.comb += loader.i_release.eq(done.o_release)
        own = storer.i_job
        m.d.comb += [
            own.last_pass.eq(job.last_pass),
            own.last_row.eq(job.last_y),
            own.last_sub.eq(job.last_sub),
            own.last_burst.eq(job.store_last_burst),
            own.words.eq(job.store_words),
            own.base.eq(job.store_base),
            own.d_pass.eq(job.store_dpass),
            own.d_row.eq(job.store_dy),
            own.d_sub.eq(job.store_dsub),
        ]
        self._permit(m, begin, job)
        return m

    def _permit(self, m: Module, begin: Signal, job: Signal) -> None:
        """Rows are permitted one after the other."""
        m.submodules.rows = rows = NeedWalk(self.config)
        have, room = Signal.like(job.load_room), Signal.like(job.store_room)
        active, permit, credits = Signal(), Signal(), Signal(len(job.last_y) + len(job.last_pass))
        granted = Signal()  # ``permit`` compares; who counts it lies with the issue unit
        m.d.comb += [
            rows.i_load.eq(begin),
            rows.i_job.eq(job),
            rows.i_next.eq(permit),
            permit.eq(active & (have >= rows.o_need) & (~job.store | (room != 0))),
            self.o_permitted.eq(credits != 0),
        ]
        m.d.sync += [granted.eq(permit), credits.eq(credits + granted - self.i_row)]
        with m.If(begin):
            m.d.sync += [active.eq(1), have.eq(0), room.eq(job.store_room)]
        with m.Else():
            m.d.sync += have.eq(have + self.loader.o_loaded - (rows.o_need & permit.replicate(len(rows.o_need))))
            m.d.sync += room.eq(room + self.storer.o_stored - permit)
            with m.If(permit & rows.o_end):
                m.d.sync += active.eq(0)
