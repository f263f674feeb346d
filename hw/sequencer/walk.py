"""Address generators that follow the order of positions y, lx, r without multiplying."""

from __future__ import annotations

from amaranth import Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.sequencer.positions import MOVES


class NestedWalk(wiring.Component):
    """o_address = base + y * d_y + lx * d_lx + r * d_r, wrapping at ``shape``.

    The new address shows in the cycle after a move. i_base is looked at while loading, i_d_* with the other moves.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(
            {
                "i_move": In(MOVES),
                "i_base": In(shape),
                "i_d_y": In(shape),
                "i_d_lx": In(shape),
                "i_d_r": In(shape),
                "o_address": Out(shape),
            }
        )
        self.shape = shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at_y = Signal(self.shape)
        at_lx = Signal(self.shape)
        next_y = Signal(self.shape)
        next_lx = Signal(self.shape)
        m.d.comb += [next_y.eq(at_y + self.i_d_y), next_lx.eq(at_lx + self.i_d_lx)]
        with m.If(self.i_move.load):
            m.d.sync += [at_y.eq(self.i_base), at_lx.eq(self.i_base), self.o_address.eq(self.i_base)]
        with m.Elif(self.i_move.next):
            with m.If(self.i_move.y):
                m.d.sync += [at_y.eq(next_y), at_lx.eq(next_y), self.o_address.eq(next_y)]
            with m.Elif(self.i_move.lx):
                m.d.sync += [at_lx.eq(next_lx), self.o_address.eq(next_lx)]
            with m.Else():
                m.d.sync += self.o_address.eq(self.o_address + self.i_d_r)
        return m


class StripWalk(wiring.Component):
    """Bank, column and address of an output pixel in a map that is cut into strips of another width.

    o_bank = x // strip, o_column = x % strip, o_address = base + y * d_y + o_column * d_x for x = r * in_strip + lx,
    with q, rem = divmod(in_strip, strip), d_rem = rem * d_x and d_strip = strip * d_x given.

    The new place shows in the cycle after a move; all of them are looked at while loading.
    """

    def __init__(self, *, bank_width: int, position_width: int, address_width: int) -> None:
        bank, position, address = unsigned(bank_width), unsigned(position_width), unsigned(address_width)
        super().__init__(
            {
                "i_move": In(MOVES),
                "i_base": In(address),
                "i_d_y": In(address),
                "i_d_x": In(address),
                "i_strip": In(position),
                "i_d_strip": In(address),
                "i_q": In(bank),
                "i_rem": In(position),
                "i_d_rem": In(address),
                "o_bank": Out(bank),
                "o_column": Out(position),
                "o_address": Out(address),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = Signal.like(self.i_base)  # address of column 0 of row y
        lx_bank, lx_column, lx_address = (Signal.like(s) for s in (self.o_bank, self.o_column, self.o_address))

        def held(value: Value | int, shape: Shape) -> Value | int:
            """What is fixed between loads is computed then."""
            if isinstance(value, int):
                return value
            signal = Signal(shape)
            with m.If(self.i_move.load):
                m.d.sync += signal.eq(value)
            return signal

        def step(
            bank: Signal, column: Signal, address: Signal, q: Value | int, rem: Value | int, d_rem: Value
        ) -> tuple[Value, Value, Value]:
            """Bank, column and address ``q`` banks and ``rem`` columns further."""
            # Both outcomes side by side: the comparison only chooses.
            moved, wrapped = Signal(signed(len(column) + 2)), Signal(signed(len(column) + 2))
            back = held(rem - self.i_strip, signed(len(column) + 1))
            m.d.comb += [moved.eq(column + held(rem, column.shape())), wrapped.eq(column + back)]
            wraps = ~wrapped[-1]
            onward, further = held(d_rem, address.shape()), held(d_rem - self.i_d_strip, address.shape())
            banks = held(q, bank.shape())
            return (
                Mux(wraps, bank + (banks + 1), bank + banks),
                Mux(wraps, wrapped, moved),
                Mux(wraps, address + further, address + onward),
            )

        next_lx = step(lx_bank, lx_column, lx_address, 0, 1, self.i_d_x)
        next_r = step(self.o_bank, self.o_column, self.o_address, self.i_q, self.i_rem, self.i_d_rem)
        outputs = (self.o_bank, self.o_column, self.o_address)
        starts = (lx_bank, lx_column, lx_address)
        base = Mux(self.i_move.load, self.i_base, row + held(self.i_d_y, self.i_d_y.shape()))
        start = [row.eq(base), self.o_address.eq(base), lx_address.eq(base)]
        start += [s.eq(0) for s in (self.o_bank, self.o_column, lx_bank, lx_column)]
        with m.If(self.i_move.load):
            m.d.sync += start
        with m.Elif(self.i_move.next):
            with m.If(self.i_move.y):
                m.d.sync += start
            with m.Elif(self.i_move.lx):
                m.d.sync += [s.eq(v) for s, v in zip(outputs, next_lx, strict=True)]
                m.d.sync += [s.eq(v) for s, v in zip(starts, next_lx, strict=True)]
            with m.Else():
                m.d.sync += [s.eq(v) for s, v in zip(outputs, next_r, strict=True)]
        return m


__all__ = ["NestedWalk", "StripWalk"]
