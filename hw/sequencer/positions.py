"""Positions of a pass in their order, as moves that address walks follow."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths

MOVES = data.StructLayout({"load": 1, "next_y": 1, "next_lx": 1, "next_r": 1})
"""At most one is set: to position 0; to the next y (lx and r become 0), lx (r becomes 0), or r."""


class PositionWalk(wiring.Component):
    """Walks y, then lx, then - if i_strips - r. Moves of the last position's i_next are none: i_load must follow.

    Members
    -------
    i_load: to position 0 of a new pass. i_next: to the next position. Not both in a cycle.
    i_last_y, i_last_lx, i_last_r: the largest of each; looked at with i_next. i_strips: r is walked too.
    o_move: what happens in this cycle. o_y: y. o_end: the position is the pass's last.
    """

    def __init__(self, config: EngineConfig) -> None:
        w = Widths.of(config)
        super().__init__(
            {
                "i_load": In(1),
                "i_next": In(1),
                "i_last_y": In(unsigned(w.position)),
                "i_last_lx": In(unsigned(w.position)),
                "i_last_r": In(unsigned(w.row)),
                "i_strips": In(1),
                "o_move": Out(MOVES),
                "o_y": Out(unsigned(w.position)),
                "o_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lx, r = Signal.like(self.i_last_lx), Signal.like(self.i_last_r)
        end_r, end_lx, end_y = Signal(), Signal(), Signal()
        m.d.comb += [
            end_r.eq((r == self.i_last_r) | ~self.i_strips),
            end_lx.eq(lx == self.i_last_lx),
            end_y.eq(self.o_y == self.i_last_y),
            self.o_end.eq(end_r & end_lx & end_y),
            self.o_move.load.eq(self.i_load),
            self.o_move.next_r.eq(self.i_next & ~end_r),
            self.o_move.next_lx.eq(self.i_next & end_r & ~end_lx),
            self.o_move.next_y.eq(self.i_next & end_r & end_lx & ~end_y),
        ]
        with m.If(self.o_move.next_r):
            m.d.sync += r.eq(r + 1)
        with m.If(self.o_move.next_lx):
            m.d.sync += [r.eq(0), lx.eq(lx + 1)]
        with m.If(self.o_move.next_y):
            m.d.sync += [r.eq(0), lx.eq(0), self.o_y.eq(self.o_y + 1)]
        with m.If(self.i_load):
            m.d.sync += [r.eq(0), lx.eq(0), self.o_y.eq(0)]
        return m


__all__ = ["MOVES", "PositionWalk"]
