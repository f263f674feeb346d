"""When streamed weights and parameters are loaded: the SDRAM controller's timing rule, burst by burst.

The controller (`hw.sdram`), the players and the loaders have fixed latencies, so every cycle follows from the requests
of the passes. Each frame begins with a refresh, so that frames which begin alike are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bnnhw.spec.external import ExternalLayout, Region
from bnnhw.spec.sdram import BURST, READ_WORDS, SdramSetup

LONG_AGO = -(1 << 40)
FORGOTTEN = 1 << 12
"""Cycles after which it does not matter when something was: nothing has to be waited for so long."""
START = -100_000
"""When the streams begin to be read: long before the first frame."""
OFFER, WRAP, ROOM = 2, 3, 3
"""Cycles until a burst may be offered: from the grant of the one before, of the region's last, from the word that made
its room."""


def since(now: int, *cycles: int) -> tuple[int, ...]:
    """Cycles, counted from ``now``; the same for all that are long ago."""
    return tuple(max(cycle - now, -FORGOTTEN) for cycle in cycles)


class Chip:
    """Row and refresh state of the SDRAM, as the scheduler knows it."""

    def __init__(self, setup: SdramSetup) -> None:
        self.timing, part = setup.timing, setup.part
        self.column_bursts, self.banks = (1 << part.column_bits) // BURST, 1 << part.bank_bits
        self.rows: dict[int, int] = {}
        self.opened = [LONG_AGO] * self.banks
        self.closed = [LONG_AGO] * self.banks
        self.used = [LONG_AGO] * self.banks  # from when a bank may close after what it read or wrote
        self.refreshed = self.accessed = self.read = LONG_AGO
        self.due = START
        self.asked = LONG_AGO  # when the last frame started

    def ask(self, start: int) -> None:
        """A frame starts: a refresh is due two cycles later, unless one comes in between."""
        self.asked = start
        self.due = min(self.due, start + 2)

    def state(self, now: int, row: Callable[[int], object] = int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, when a frame starts; ``row``: what an open row counts
        as."""
        times = (*self.opened, *self.closed, *self.used, self.refreshed, self.accessed, self.read)
        rows = [(bank, row(self.rows[bank])) for bank in sorted(self.rows)]
        return rows, self.due - now, since(now, *times)

    def ready(self, at: int) -> int:
        """First cycle from ``at`` on in which the idle scheduler takes a burst."""
        while self.due <= at:
            at = max(at, self._refresh() + 1)
        return at

    def access(self, burst: int, taken: int, write: bool = False) -> int:
        """Cycle of the read, or write, of a burst that the scheduler took in cycle ``taken``."""
        t = self.timing
        rest = burst // self.column_bursts
        bank, row = rest % self.banks, rest // self.banks
        earliest = taken + 1
        while True:
            held = self.rows.get(bank)
            if held == row:
                turn = BURST + t.cas + t.turnaround if write else 0
                cycle = max(earliest, max(self.opened) + t.rcd, self.accessed + BURST, self.read + turn)
            elif held is not None:
                cycle = max(earliest, self._closable(bank))
            else:
                cycle = max(
                    earliest,
                    self.closed[bank] + t.rp,
                    self.opened[bank] + t.rc,
                    max(self.opened) + t.rrd,
                    self.refreshed + t.rfc,
                )
            if cycle >= self.due:
                earliest = self._refresh() + 1
            elif held == row:
                self.accessed = cycle
                self.read = self.read if write else cycle
                self.used[bank] = cycle + (BURST - 1 + t.wr if write else BURST)
                return cycle
            else:
                if held is not None:
                    self.closed[bank] = cycle
                    del self.rows[bank]
                else:
                    self.opened[bank] = cycle
                    self.rows[bank] = row
                earliest = cycle + 1

    def _closable(self, bank: int) -> int:
        return max(self.opened[bank] + self.timing.ras, self.used[bank])

    def _refresh(self) -> int:
        """The refresh that is due; its cycle."""
        t = self.timing
        close = max(self.due, *(self._closable(bank) for bank in range(self.banks)))
        cycle = max(close + t.rp, max(self.opened) + t.rc, self.refreshed + t.rfc)
        self.rows.clear()
        self.closed = [close] * self.banks
        self.refreshed = cycle
        self.due = cycle + t.refresh_period + 2
        if cycle <= self.asked:
            self.due = min(self.due, self.asked + 2)
        return cycle


class Client(Protocol):
    """A port of the controller: its bursts in order, each offered from a cycle on."""

    writes: bool

    def offer(self) -> int | None:
        """First cycle in which the next burst is offered; None while that is not known."""

    def next_burst(self) -> int:
        """Number of the burst that is offered."""

    def grant(self, cycle: int, access: int) -> None:
        """It was granted, and is accessed in cycle ``access``."""

    def state(self, now: int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, when a frame starts."""


@dataclass
class Stream:
    """One region, its port, its player, and the loader that takes its beats."""

    region: Region
    latency: int
    writes: bool = False
    granted: int = START
    burst: int = 0
    """Bursts granted."""
    words: list[int] = field(default_factory=list)
    """Cycle from which the first word of each burst is there; of those not yet taken to their end."""
    word: int = 0
    """Words taken."""
    taken: int = LONG_AGO
    """Cycle of the last one."""
    last_words: list[int] = field(default_factory=list)
    """Cycle of the last word of each burst."""
    beat: int = 0
    """Beats of the region that are complete."""
    filled: int = 0
    """Words of the next beat."""
    skip: int = 0
    valid: int | None = None
    """Since when a beat stands at the player's output."""
    free: int = LONG_AGO
    """Since when none does."""
    gaps: Iterator[int] = iter(())
    previous: int = LONG_AGO
    earliest: int | None = None
    """First cycle in which the loader takes the next beat; None when it needs none."""

    def request(self, at: int, gaps: Iterator[int]) -> None:
        """A load accepted in cycle ``at``: a beat for each gap, so many cycles after the one before at least."""
        self.gaps, self.previous = gaps, at
        self._next()
        self.run()

    def _next(self) -> None:
        gap = next(self.gaps, None)
        self.earliest = None if gap is None else self.previous + 1 + gap

    @property
    def done(self) -> bool:
        return self.earliest is None

    def state(self, now: int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, in a load of which no more is known, or between two."""
        room = self.last_words[max(0, self.burst - READ_WORDS // BURST) :]
        times = (self.granted, *self.words, self.taken, *room, self.free)
        place = (self.burst % self.region.bursts, self.burst * BURST - self.word, self.beat, self.filled, self.skip)
        found = [None if cycle is None else since(now, cycle) for cycle in (self.valid, self.earliest)]
        return place, found, len(room), since(now, *times)

    def offer(self) -> int | None:
        """First cycle in which the next burst is offered; None while its room is not known."""
        since = self.granted + (WRAP if self.burst % self.region.bursts == 0 else OFFER)
        behind = self.burst - READ_WORDS // BURST
        if behind < 0:
            return since
        return max(since, self.last_words[behind] + ROOM) if behind < len(self.last_words) else None

    def next_burst(self) -> int:
        """Number of the burst that is offered next."""
        return self.region.first + self.burst % self.region.bursts

    def grant(self, cycle: int, access: int) -> None:
        """The next burst was granted, and is read in cycle ``access``."""
        self.granted = cycle
        self.burst += 1
        self.words.append(access + self.latency)
        self.run()

    def run(self) -> None:
        """Everything that follows from the words that are known to come."""
        while True:
            if self.valid is not None and self.earliest is not None:
                self.previous = self.free = max(self.valid, self.earliest)
                self.valid = None
                self._next()
            burst, number = divmod(self.word, BURST)
            if burst >= self.burst or (self.valid is not None and not self.skip):
                return
            at = max(self.words[0] + number, self.taken + 1)
            self._take(at if self.skip else max(at, self.free))

    def _take(self, cycle: int) -> None:
        self.taken = cycle
        self.word += 1
        if self.word % BURST == 0:
            self.last_words.append(cycle)
            self.words.pop(0)
        if self.skip:
            self.skip -= 1
            return
        self.filled += 1
        if self.filled == self.region.beat_words:
            self.filled, self.valid = 0, cycle + 1
            self.beat += 1
            if self.beat == self.region.beats:
                self.beat, self.skip = 0, self.region.bursts * BURST - self.region.words


class Controller:
    """The SDRAM, its scheduler, and an arbiter for clients of falling priority."""

    def __init__(self, setup: SdramSetup, clients: Sequence[Client]) -> None:
        self.chip, self.clients = Chip(setup), tuple(clients)
        self._free = LONG_AGO  # cycle from which the arbiter decides again

    def frame(self, start: int) -> None:
        """A frame starts."""
        self.chip.ask(start)

    def state(self, now: int, row: Callable[[int], object] = int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, when a frame starts: where it is the same, all is.
        ``row``: see `Chip.state`."""
        clients = [client.state(now) for client in self.clients]
        return since(now, self._free), self.chip.state(now, row), clients

    def step(self) -> None:
        """The next grant, and what follows from it."""
        offers = [client.offer() for client in self.clients]
        known = [offer for offer in offers if offer is not None]
        assert known, "nobody asks for anything, and somebody waits"
        cycle = max(self._free, min(known))
        client = next(c for c, offer in zip(self.clients, offers, strict=True) if offer is not None and offer <= cycle)
        burst = client.next_burst()
        waiting = cycle + 1
        accessed = self.chip.accessed
        taken = accessed if waiting <= accessed else self.chip.ready(max(waiting, accessed + 1))
        access = self.chip.access(burst, taken, client.writes)
        self._free = taken + 1
        client.grant(cycle, access)


class StreamClock(Controller):
    """Both streams of an engine, and other clients of lower priority, from frame to frame."""

    def __init__(self, setup: SdramSetup, layout: ExternalLayout, others: Sequence[Client] = ()) -> None:
        self.weights = Stream(layout.weights, setup.read_latency)
        self.params = Stream(layout.params, setup.read_latency)
        super().__init__(setup, (self.weights, self.params, *others))

    def load(self, at: int, weights: Sequence[int], params: int) -> tuple[int, int]:
        """Cycles in which the loaders take the last beats of a pass that is requested in cycle ``at``. ``weights``: the
        least gap before each beat."""
        self.request(at, weights, params)
        while not self.loaded:
            self.step()
        return self.weights.previous, self.params.previous

    def request(self, at: int, weights: Sequence[int], params: int) -> None:
        """A pass's load is requested in cycle ``at``."""
        self.params.request(at, iter([0] * params))
        if weights:
            self.weights.request(at, iter(weights))

    @property
    def loaded(self) -> bool:
        """Whether it is known when the loaders take the last beats of what was requested."""
        return self.weights.done and self.params.done
