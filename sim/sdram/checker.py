"""Checks every command against the data sheet: how many cycles ago was what it must keep its distance from."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.sim.sdram.rules import Rule
from bnnhw.spec.sdram import ALL_BANKS, Command, SdramPart, SdramTiming

Breach = tuple[Rule, Value, Value]
"""A rule, when it is broken, and the bank that it is broken for."""


class SdramChecker(wiring.Component):
    """Counts, for each bank, the cycles since each event, and compares at each command. Outputs are of the same cycle.

    The order of `Rule` decides which of several breaches is named; bank 0 stands for breaches without a bank.
    All refreshes within ``interval`` of each other also means all rows within the refresh time.

    Members
    -------
    i_cke ... i_oe: pins. i_drives: the chip drives the data pins. i_read_masked: and is masked. i_writes: a word is
    written, of bank i_burst_bank. i_cut: the command ends a burst. o_row: the open row of i_burst_bank.
    o_rule, o_bank: the breach.
    """

    def __init__(self, *, part: SdramPart, timing: SdramTiming) -> None:
        self.part, self.timing = part, timing
        super().__init__(
            {
                "i_cke": In(1),
                "i_cs": In(1),
                "i_command": In(3),
                "i_bank": In(part.bank_bits),
                "i_address": In(13),
                "i_mask": In(2),
                "i_oe": In(1),
                "i_drives": In(1),
                "i_read_masked": In(1),
                "i_writes": In(1),
                "i_burst_bank": In(part.bank_bits),
                "i_cut": In(1),
                "o_row": Out(part.row_bits),
                "o_rule": Out(Rule),
                "o_bank": Out(part.bank_bits),
            }
        )
        self._is = {command: Signal(name=f"is_{command.name.lower()}") for command in Command}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = self.i_cke & self.i_cs
        for command, signal in self._is.items():
            m.d.comb += signal.eq(valid & (self.i_command == command))
        breaches = [*self._start_up(m), *self._banks(m), *self._chip(m), *self._data(m)]
        for rule, broken, bank in sorted(breaches, key=lambda breach: -breach[0]):
            with m.If(broken):
                m.d.comb += [self.o_rule.eq(rule), self.o_bank.eq(bank)]
        return m

    def _start_up(self, m: Module) -> list[Breach]:
        now, timing, bank = self._is, self.timing, self.i_bank
        cycles = Signal(range(timing.power_up + 1))
        m.d.sync += cycles.eq(Mux(cycles == timing.power_up, cycles, cycles + 1))
        any_command = self.i_cs & (self.i_command != Command.NOP)
        early = cycles != timing.power_up

        was_cke, precharged, moded = Signal(), Signal(), Signal()
        refreshes = Signal(range(timing.init_refreshes + 1))
        m.d.sync += was_cke.eq(was_cke | self.i_cke)
        with m.If(now[Command.PRECHARGE] & ((self.i_address & ALL_BANKS) != 0)):
            m.d.sync += precharged.eq(1)
        with m.If(now[Command.MODE]):
            m.d.sync += moded.eq(1)
        with m.If(now[Command.REFRESH] & (refreshes != timing.init_refreshes)):
            m.d.sync += refreshes.eq(refreshes + 1)

        activate, mode, address = now[Command.ACTIVATE], now[Command.MODE], self.i_address
        wrong = (address[:3] != 3) | address[3] | (address[4:7] != timing.cas) | (address[7:] != 0) | (bank != 0)
        accesses = now[Command.READ] | now[Command.WRITE]
        return [
            (Rule.POWER_UP, early & (any_command | ~self.i_mask.all()), bank),
            (Rule.CKE, ~self.i_cke & (was_cke | any_command), bank),
            (Rule.INIT_PRECHARGE, (activate | mode | now[Command.REFRESH]) & ~precharged, bank),
            (Rule.INIT_REFRESH, activate & (refreshes != timing.init_refreshes), bank),
            (Rule.INIT_MODE, activate & ~moded, bank),
            (Rule.MODE, mode & wrong, bank),
            (Rule.COMMAND, now[Command.TERMINATE] | accesses & ((address & ALL_BANKS) != 0), bank),
        ]

    def _banks(self, m: Module) -> list[Breach]:
        """What each bank must keep."""
        now, timing = self._is, self.timing
        all_banks = (self.i_address & ALL_BANKS) != 0
        idle_needed = now[Command.REFRESH] | now[Command.MODE]
        breaches: list[Breach] = []
        rows = []
        for number in range(1 << self.part.bank_bits):
            here = self.i_bank == number
            closes = now[Command.PRECHARGE] & (here | all_banks)
            opens = now[Command.ACTIVATE] & here
            accesses = (now[Command.READ] | now[Command.WRITE]) & here
            is_open, row = Signal(name=f"open_{number}"), Signal(self.part.row_bits, name=f"row_{number}")
            rows.append(row)
            with m.If(opens):
                m.d.sync += [is_open.eq(1), row.eq(self.i_address)]
            with m.Elif(closes):
                m.d.sync += is_open.eq(0)
            opened = _cycles_since(m, f"opened_{number}", opens, max(timing.rcd, timing.ras, timing.rc))
            closed = _cycles_since(m, f"closed_{number}", closes, timing.rp)  # at power-up nobody knows what is open
            written = _cycles_since(m, f"written_{number}", self.i_writes & (self.i_burst_bank == number), timing.wr)
            breaches += [
                (Rule.NOT_IDLE, idle_needed & is_open, Value.cast(number)),
                (Rule.ACTIVATE_OPEN, opens & is_open, Value.cast(number)),
                (Rule.ACCESS_CLOSED, accesses & ~is_open, Value.cast(number)),
                (Rule.RCD, accesses & (opened < timing.rcd), Value.cast(number)),
                (Rule.RP, (opens | idle_needed) & (closed < timing.rp), Value.cast(number)),
                (Rule.RAS, closes & (opened < timing.ras), Value.cast(number)),
                (Rule.RC, (opens | now[Command.REFRESH]) & (opened < timing.rc), Value.cast(number)),
                (Rule.WR, closes & is_open & (written < timing.wr), Value.cast(number)),
            ]
        m.d.comb += self.o_row.eq(Array(rows)[self.i_burst_bank])
        return breaches

    def _chip(self, m: Module) -> list[Breach]:
        """What the chip as a whole must keep."""
        now, timing, bank = self._is, self.timing, self.i_bank
        late = timing.interval + 1
        refreshed = _cycles_since(m, "refreshed", now[Command.REFRESH], max(late, timing.rfc))
        moded = _cycles_since(m, "moded", now[Command.MODE], timing.mrd)
        opened = _cycles_since(m, "opened", now[Command.ACTIVATE], timing.rrd)
        ever = Signal()
        with m.If(now[Command.REFRESH]):
            m.d.sync += ever.eq(1)
        some = self.i_cke & self.i_cs & (self.i_command != Command.NOP)
        return [
            (
                Rule.RFC,
                (now[Command.ACTIVATE] | now[Command.REFRESH] | now[Command.MODE]) & (refreshed < timing.rfc),
                bank,
            ),
            (Rule.MRD, some & (moded < timing.mrd), bank),
            (Rule.RRD, now[Command.ACTIVATE] & (opened < timing.rrd), bank),
            (Rule.REFRESH_LATE, ever & (refreshed == late), Value.cast(0)),
        ]

    def _data(self, m: Module) -> list[Breach]:
        """What happens at the data pins."""
        drove, bank = Signal(), self.i_burst_bank
        m.d.sync += drove.eq(self.i_drives)
        return [
            (Rule.BURST_CUT, self.i_cut, self.i_bank),
            (Rule.CONTENTION, self.i_oe & self.i_drives, bank),
            (Rule.TURNAROUND, self.i_oe & drove, bank),
            (Rule.NOT_DRIVEN, self.i_writes & ~self.i_oe, bank),
            (Rule.DRIVEN, self.i_oe & ~self.i_writes, bank),
            (Rule.READ_MASKED, self.i_read_masked, Value.cast(0)),
        ]


def _cycles_since(m: Module, name: str, event: Value, most: int) -> Signal:
    """Cycles since the last ``event``, 1 in the next one; ``most`` where it is as many or more, or never was."""
    count = Signal(range(most + 1), init=most, name=f"{name}_since")
    with m.If(event):
        m.d.sync += count.eq(1)
    with m.Elif(count != most):
        m.d.sync += count.eq(count + 1)
    return count
