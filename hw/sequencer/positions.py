"""Positions of a pass in their order, as moves that address walks follow."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths

MOVES = data.StructLayout({"load": 1, "next": 1, "y": 1, "lx": 1})
"""load: to position 0. next: to the next y (lx and r become 0) if ``y``, else to the next lx (r becomes 0) if ``lx``,
else to the next r. Not load and next at once. y and lx are known before next is: they come from registers."""


class PositionWalk(wiring.Component):
    """Walks y, then lx, then - if i_strips - r. After the last position's i_next, i_load must follow.

    Whether a coordinate is at its end is a register: in the cycle of i_next nothing is compared.

    Members
    -------
    i_load: to position 0 of a new pass; in that cycle i_last_y, i_last_lx, i_last_r: the largest of each, and i_strips:
    r is walked too. i_next: to the next position. Not both in a cycle.
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
        last_r = Signal.like(self.i_last_r)
        m.d.comb += last_r.eq(Mux(self.i_strips, self.i_last_r, 0))
        move = self.o_move
        end_y = self._coordinate(m, self.i_last_y, moves=move.y, restarts=Const(0))
        end_lx = self._coordinate(m, self.i_last_lx, moves=move.lx, restarts=move.y)
        end_r = self._coordinate(m, last_r, moves=Const(1), restarts=move.lx)
        m.d.comb += [
            self.o_end.eq(end_r & end_lx & end_y),
            move.load.eq(self.i_load),
            move.next.eq(self.i_next),
            move.y.eq(end_r & end_lx),
            move.lx.eq(end_r),
        ]
        with m.If(self.i_load):
            m.d.sync += self.o_y.eq(0)
        with m.Elif(self.i_next & move.y):
            m.d.sync += self.o_y.eq(self.o_y + 1)
        return m

    def _coordinate(self, m: Module, last: Value, *, moves: Value, restarts: Value) -> Signal:
        """Whether a coordinate, which counts to ``last``, is there; with i_next it restarts or else moves."""
        whole, left = Signal(len(last)), Signal(len(last))
        alone, end = Signal(), Signal()
        with m.If(self.i_load):
            m.d.sync += [whole.eq(last), left.eq(last), alone.eq(last == 0), end.eq(last == 0)]
        with m.Elif(self.i_next & restarts):
            m.d.sync += [left.eq(whole), end.eq(alone)]
        with m.Elif(self.i_next & moves):
            m.d.sync += [left.eq(left - 1), end.eq(left == 1)]
        return end


__all__ = ["MOVES", "PositionWalk"]
