"""Rows of a spilled map in the order in which a job goes through them, as bursts of the SDRAM."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RowWalk(wiring.Component):
    """o_burst = base + pass * d_pass + row * d_row + sub * d_sub; walks pass, row, then sub. With ``i_tile`` = n > 0
    passes n and up are those from 0 on again.

    Parameters
    ----------
    bursts, passes, rows, subs
        Widths of their counts.
    tiled
        There is an i_tile.

    Members
    -------
    i_load: to the first of all, i_base is looked at, ``tiled`` later too; the other inputs stay until the last. i_next:
    to the next.
    o_valid: it is one. o_first_sub, o_last_sub: the row's first group, its last. o_burst: its first burst.
    """

    def __init__(self, *, bursts: int, passes: int, rows: int, subs: int, tiled: bool = False) -> None:
        self.tiled = tiled
        steps = {f"i_{name}": In(bursts) for name in ("base", "d_pass", "d_row", "d_sub")}
        super().__init__(
            {
                "i_load": In(1),
                "i_next": In(1),
                **steps,
                "i_last_pass": In(passes),
                "i_last_row": In(rows),
                "i_last_sub": In(subs),
                "i_tile": In(passes if tiled else 0),
                "o_valid": Out(1),
                "o_first_sub": Out(1),
                "o_last_sub": Out(1),
                "o_burst": Out(bursts),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passes, rows, subs = (Signal.like(s) for s in (self.i_last_pass, self.i_last_row, self.i_last_sub))  # left
        at_pass, at_row = Signal.like(self.o_burst), Signal.like(self.o_burst)
        next_pass, next_row = Signal.like(self.o_burst), Signal.like(self.o_burst)
        m.d.comb += [
            next_pass.eq(at_pass + self.i_d_pass),
            next_row.eq(at_row + self.i_d_row),
            self.o_last_sub.eq(subs == 0),
        ]
        if self.tiled:
            tile = Signal.like(self.i_tile)  # passes until the first again
            with m.If(tile == 1):
                m.d.comb += next_pass.eq(self.i_base)
            with m.If(self.i_load | (self.i_next & (subs == 0) & (rows == 0))):
                m.d.sync += tile.eq(Mux(self.i_load | (tile == 1), self.i_tile, tile - 1))
        with m.If(self.i_load):
            m.d.sync += [s.eq(self.i_base) for s in (self.o_burst, at_row, at_pass)]
            m.d.sync += [passes.eq(self.i_last_pass), rows.eq(self.i_last_row), subs.eq(self.i_last_sub)]
            m.d.sync += [self.o_valid.eq(1), self.o_first_sub.eq(1)]
        with m.Elif(self.i_next):
            m.d.sync += self.o_first_sub.eq(subs == 0)
            with m.If(subs != 0):
                m.d.sync += [subs.eq(subs - 1), self.o_burst.eq(self.o_burst + self.i_d_sub)]
            with m.Elif(rows != 0):
                m.d.sync += [subs.eq(self.i_last_sub), rows.eq(rows - 1)]
                m.d.sync += [s.eq(next_row) for s in (self.o_burst, at_row)]
            with m.Else():
                m.d.sync += [subs.eq(self.i_last_sub), rows.eq(self.i_last_row), passes.eq(passes - 1)]
                m.d.sync += [s.eq(next_pass) for s in (self.o_burst, at_row, at_pass)]
                m.d.sync += self.o_valid.eq(passes != 0)
        return m
