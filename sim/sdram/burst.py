"""Bursts of the simulated SDRAM: which column moves in which cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.sdram import ALL_BANKS, BURST, Command, SdramPart


class BurstTracker(wiring.Component):
    """Follows read and write commands through their words. All outputs are of the same cycle as the inputs.

    A word of a read is fetched as long before it appears at the pins as the CAS latency. Read, write and precharge of
    the burst's bank (or all) end a burst.

    Members
    -------
    i_valid, i_command, i_bank, i_address: a command. o_read, o_write: a word is fetched or stored now, of this o_bank
    and o_column. o_cut: the command ended a burst early.
    """

    def __init__(self, *, part: SdramPart) -> None:
        self.part = part
        super().__init__(
            {
                "i_valid": In(1),
                "i_command": In(3),
                "i_bank": In(part.bank_bits),
                "i_address": In(13),
                "o_read": Out(1),
                "o_write": Out(1),
                "o_bank": Out(part.bank_bits),
                "o_column": Out(part.column_bits),
                "o_cut": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low = BURST.bit_length() - 1
        writing, bank, column = Signal(), Signal(self.part.bank_bits), Signal(self.part.column_bits)
        left = Signal(range(BURST + 1))
        runs = left != 0
        starts, ends = Signal(), Signal()
        m.d.comb += [
            starts.eq(self.i_valid & ((self.i_command == Command.READ) | (self.i_command == Command.WRITE))),
            ends.eq(
                self.i_valid
                & (self.i_command == Command.PRECHARGE)
                & ((self.i_bank == bank) | ((self.i_address & ALL_BANKS) != 0))
            ),
            self.o_cut.eq(runs & (starts | ends)),
        ]
        with m.If(starts):
            m.d.comb += [
                self.o_read.eq(self.i_command == Command.READ),
                self.o_write.eq(self.i_command == Command.WRITE),
                self.o_bank.eq(self.i_bank),
                self.o_column.eq(self.i_address),
            ]
            m.d.sync += [left.eq(BURST - 1), writing.eq(self.o_write), bank.eq(self.i_bank)]
        with m.Elif(~ends & runs):
            m.d.comb += [
                self.o_read.eq(~writing),
                self.o_write.eq(writing),
                self.o_bank.eq(bank),
                self.o_column.eq(column),
            ]
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += left.eq(0)
        # Within its 8 columns a burst goes round.
        m.d.sync += column.eq(Cat((self.o_column + 1)[:low], self.o_column[low:]))
        return m
