"""Pass walk: the passes of a program in their order, each with its fields; those of a job by increments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.sequencer.jobs import JobMemory
from bnnhw.spec.jobs import parts
from bnnhw.spec.layout import WordLayout

FROM_TO = (("last_filled", "bits"), ("last_residual", "residual"), ("last_second", "second"))
"""The last pass for which a flag holds, and the flag."""


RESTORED = ("repeat", "res_base", "res_tile", "sec_base", "sec_tile")
"""Fields that become again what they were in a job's first pass."""


class PassWalk(wiring.Component):
    """o shows the fields of pass 0 of the program, after the first i_next those of pass 1, and so on for ever; what
    becomes of a job's fields from pass to pass says ``spec.jobs``.

    Rate: an i_next every second cycle, and one that begins a job ``gap`` cycles after that which began the one before,
    on average since any earlier one: meanwhile the memory gives the word of the job after the next. Latency: o is valid
    two cycles after i_next, the first time as many after reset as a word has parts, and two more.

    Parameters
    ----------
    layout, words
        Packed words of jobs or loads, and their fields.
    names
        Fields wanted; others take no memory.
    slots
        Slots of the activation memory.
    gap
        Cycles between the beginnings of two jobs.

    Members
    -------
    i_next: to the next pass. o, o_first, o_last: fields of the pass; it is its job's first, last. o_valid: they are.
    """

    def __init__(
        self, layout: WordLayout, words: Sequence[int], names: Collection[str], *, slots: int, gap: int
    ) -> None:
        self.layout, self.words, self.names, self.slots = layout, words, names, slots
        wanted = layout.only(names)
        assert parts(wanted.width)[0] < gap, "a descriptor is read too slowly"
        super().__init__(
            {"i_next": In(1), "o": Out(struct(wanted)), "o_first": Out(1), "o_last": Out(1), "o_valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.jobs = jobs = JobMemory(self.layout, self.words, self.names)
        job_ends = Signal(init=1)
        kept = {name: Signal.like(self.o[name]) for name in RESTORED if name in self.o.shape().members}
        m.d.comb += [
            self.o_last.eq(self.o.last_pass == 0),
            jobs.i_take.eq(~self.o_valid & job_ends & jobs.o_valid),
        ]
        with m.If(self.i_next):
            m.d.sync += [self.o_valid.eq(0), job_ends.eq(self.o_last)]
        with m.Elif(jobs.i_take):
            m.d.sync += [self.o.eq(jobs.o), self.o_first.eq(1), self.o_valid.eq(1)]
            m.d.sync += [signal.eq(jobs.o[name]) for name, signal in kept.items()]
        with m.Elif(~self.o_valid & ~job_ends):
            self._step(m, kept)
            m.d.sync += [self.o_first.eq(0), self.o_valid.eq(1)]
        return m

    def _step(self, m: Module, kept: Mapping[str, Signal]) -> None:
        """To the fields of the job's next pass; ``last_pass`` and the like count the passes that are left. ``kept``: as
        they were in the first."""
        o, fields = self.o, self.o.shape().members
        m.d.sync += o.last_pass.eq(o.last_pass - 1)
        if "base" in fields:
            moves = o.last_filled != 0
            if "repeat" in fields:  # the field counts the passes that are left
                with m.If(o.repeat != 0):
                    m.d.sync += o.repeat.eq(o.repeat - 1)
                with m.Else():
                    m.d.sync += o.repeat.eq(kept["repeat"])
                moves &= o.repeat == 0
            with m.If(moves):
                m.d.sync += o.base.eq(o.base + o.d_pass)
        for last, flag in FROM_TO:
            if last in fields:
                with m.If(o[last] != 0):
                    m.d.sync += o[last].eq(o[last] - 1)
                if flag in fields:
                    with m.Else():
                        m.d.sync += o[flag].eq(0)
        for at in ("res", "sec", "val", "gate"):
            base, own, tile = f"{at}_base", f"{at}_dpass", f"{at}_tile"
            if base in fields:
                m.d.sync += o[base].eq(o[base] + o[own if own in fields else "groups"])
            if tile in fields:
                m.d.sync += o[tile].eq(o[tile] - 1)
                with m.If(o[tile] == 0):
                    m.d.sync += [o[name].eq(kept[name]) for name in (base, tile)]
        if "bit_base" in fields:
            wraps = Signal()
            if "slot" in fields:
                slot = Signal(range(2 * self.slots))
                m.d.comb += [slot.eq(o.slot + o.slot_dpass), wraps.eq(slot >= self.slots)]
                m.d.sync += o.slot.eq(Mux(wraps, slot - self.slots, slot))
            m.d.sync += o.bit_base.eq(o.bit_base + o.bit_dpass + wraps)


__all__ = ["PassWalk"]
