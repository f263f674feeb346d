"""Rows of a job, one after the other, and the rows of its source that each needs and lets go of."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.spill import spill_layout


class NeedWalk(wiring.Component):
    """Walks the rows of all passes of a job: o_need is what ``spec.spill.rows_needed`` says, o_release what
    ``rows_released`` does, both 0 in passes that load nothing.

    Members
    -------
    i_load: to the first row of i_job. i_next: to the next row. o_end: the job's last row.
    """

    def __init__(self, config: EngineConfig) -> None:
        job = struct(spill_layout(config))
        width = job["need_first"].width
        super().__init__(
            {
                "i_load": In(1),
                "i_job": In(job),
                "i_next": In(1),
                "o_need": Out(width),
                "o_release": Out(signed(width + 2)),
                "o_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job = self.i_job
        rows, passes, loads = Signal.like(job.last_y), Signal.like(job.last_pass), Signal.like(job.load_last_pass)
        loading, first, last = Signal(), Signal(), Signal()
        whole, left = Signal(len(job.need_first) + 1), Signal(len(job.need_first) + 1)  # rows loaded for a pass
        need = Signal.like(self.o_need)
        following = Signal.like(self.o_need)
        m.d.comb += [
            whole.eq(job.load_last_row + 1),
            last.eq(rows == 0),
            self.o_end.eq(last & (passes == 0)),
            self.o_need.eq(Mux(loading, need, 0)),
            self.o_release.eq(Mux(loading, need - Mux(first, job.lag, 0) + Mux(last, job.lag, 0), 0)),
            following.eq(Mux(left < job.need_step, left, job.need_step)),
        ]
        with m.If(self.i_load):
            m.d.sync += [passes.eq(job.last_pass), loads.eq(job.load_last_pass), loading.eq(job.load)]
        with m.Elif(self.i_next & last):
            m.d.sync += passes.eq(passes - 1)
            m.d.sync += [loads.eq(loads - 1), loading.eq(loading & (loads != 0))]
        with m.If(self.i_load | (self.i_next & last)):
            m.d.sync += [rows.eq(job.last_y), first.eq(1), need.eq(job.need_first), left.eq(whole - job.need_first)]
        with m.Elif(self.i_next):
            m.d.sync += [rows.eq(rows - 1), first.eq(0), need.eq(following), left.eq(left - following)]
        return m
