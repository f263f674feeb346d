"""The scheduler's timing rule, as its docstring says it: from bursts to the cycles of all commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnnhw.spec.sdram import BURST, Command, SdramTiming

Access = tuple[int, int, bool]
"""Bank, row, whether it writes."""


class Rule:
    """Commands (cycle, command, bank; bank None for all) of bursts that are always at hand."""

    def __init__(self, timing: SdramTiming) -> None:
        self.timing = timing
        self.rows: dict[int, int] = {}
        self.last: dict[tuple[str, int | None], int] = {}
        self.due = 0

    def commands(self, accesses: Iterable[Access]) -> Iterator[tuple[int, Command, int | None]]:
        t = self.timing
        now = t.power_up
        yield now, Command.PRECHARGE, None
        now += t.rp
        for _ in range(t.init_refreshes):
            refreshed = now
            yield now, Command.REFRESH, None
            now += t.rfc
        yield now, Command.MODE, None
        self._refreshed(refreshed)
        earliest = max(now + t.mrd, now + 2)
        for bank, row, write in accesses:
            if self.rows.get(bank, row) != row:
                cycle = max(earliest, self._closable(bank))
                if cycle < self.due:
                    yield cycle, Command.PRECHARGE, bank
                    self.last["close", bank] = cycle
                    del self.rows[bank]
                    earliest = cycle + 1
            while True:
                if self.rows.get(bank) != row:
                    command, cycle = Command.ACTIVATE, max(earliest, self._openable(bank))
                else:
                    command, cycle = (Command.WRITE if write else Command.READ), max(earliest, self._accessible(write))
                if cycle >= self.due:
                    close, cycle = self._refresh()
                    yield close, Command.PRECHARGE, None
                    yield cycle, Command.REFRESH, None
                    earliest = cycle + t.rfc
                    continue
                yield cycle, command, bank
                self._note(command, bank, row, cycle)
                earliest = cycle + 1
                if command != Command.ACTIVATE:
                    break

    def _note(self, command: Command, bank: int, row: int, cycle: int) -> None:
        if command == Command.ACTIVATE:
            self.rows[bank] = row
            self.last["open", bank] = self.last["open", None] = cycle
        else:
            name = "write" if command == Command.WRITE else "read"
            self.last[name, bank] = self.last[name, None] = cycle

    def _since(self, name: str, bank: int | None, cycles: int) -> int:
        return self.last.get((name, bank), -(10**9)) + cycles

    def _closable(self, bank: int) -> int:
        t = self.timing
        return max(
            self._since("open", bank, t.ras),
            self._since("read", bank, BURST),
            self._since("write", bank, BURST - 1 + t.wr),
        )

    def _openable(self, bank: int) -> int:
        t = self.timing
        return max(self._since("close", bank, t.rp), self._since("open", bank, t.rc), self._since("open", None, t.rrd))

    def _accessible(self, write: bool) -> int:
        t = self.timing
        return max(
            self._since("open", None, t.rcd),
            self._since("read", None, BURST + (t.cas + t.turnaround if write else 0)),
            self._since("write", None, BURST),
        )

    def _refreshed(self, cycle: int) -> None:
        t = self.timing
        postponed = max(max(t.ras, BURST, BURST - 1 + t.wr) + t.rp, t.rc)
        self.due = cycle + t.interval - postponed + 1
        self.rows = {}

    def _refresh(self) -> tuple[int, int]:
        banks = range(4)
        close = max([self.due, *(self._closable(bank) for bank in banks)])
        refresh = max([close + self.timing.rp, *(self._since("open", bank, self.timing.rc) for bank in banks)])
        self._refreshed(refresh)
        return close, refresh
