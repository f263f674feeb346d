"""When rows of spilled maps are loaded and stored: the spill unit's parts as clients of the SDRAM's clock.

Cycles of each event are those of `hw.spill`; what waits for what is said there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import product

from bnnhw.compiler.stream_clock import LONG_AGO, OFFER, ROOM, since
from bnnhw.spec.sdram import BURST, READ_WORDS, WRITE_WORDS
from bnnhw.spec.spill import loaded_pass, rows_needed, rows_released

GRANT = 2
"""Cycles from a row's permit until it may be issued."""

WRITE_BURSTS = WRITE_WORDS // BURST
"""Bursts that are in a port that writes, at most, when another one's words come."""
FIRST_WORD = 3
"""Cycles from a request until the first of its words."""


def _first_bursts(base: int, counts: tuple[int, int, int], steps: tuple[int, int, int]) -> Iterator[int]:
    """First bursts of the rows of a group that a job stores from burst ``base`` on, in order: so many passes, rows and
    groups, so many bursts apart."""
    for number in product(*map(range, counts)):
        yield base + sum(n * step for n, step in zip(number, steps, strict=True))


def _loaded_rows(base: int, job: Mapping[str, int]) -> Iterator[tuple[int, int, bool]]:
    """Rows of groups that a job loads whose first row is at burst ``base``, in order: the number of the row, the first
    burst, and whether it is the row's last."""
    rows, subs = job["load_last_row"] + 1, job["load_last_sub"] + 1
    for number in range(job["load_last_pass"] + 1):
        bases = [base + loaded_pass(number, job["load_tile"]) * job["load_dpass"]]
        if job["second"] and number <= job["second_last_pass"]:
            bases.append(job["second_base"] + loaded_pass(number, job["second_tile"]) * job["load_dpass"])
        for row in range(rows):
            firsts = [first + row * job["load_dy"] + sub * job["load_dsub"] for first in bases for sub in range(subs)]
            for count, first in enumerate(firsts, 1):
                yield number * rows + row, first, count == len(firsts)


class LoadClient:
    """The loader and its port. ``latency``: see `SdramSetup.read_latency`."""

    writes = False

    def __init__(self, latency: int) -> None:
        self.latency = latency
        # row, first burst and whether it is the row's last, of what is not asked
        self._units: deque[tuple[int, int, bool]] = deque()
        self._bursts = self._useful = 0  # bursts of each, and the last useful word of the last one
        self._granted = LONG_AGO
        self._last_words: deque[int] = deque([LONG_AGO] * (READ_WORDS // BURST), READ_WORDS // BURST)
        self._burst = self._left = 0
        self._first = True
        self._ends_row = False
        self._taken = LONG_AGO
        self.loaded: list[int] = []
        """Cycles in which the last words of the job's rows came."""
        self._room: list[int] = []

    def begin(self, at: int, job: Mapping[str, int], base: int, beats: int) -> None:
        """A job: its first request may come in cycle ``at``, its first row is at burst ``base``."""
        self._bursts, self._useful = job["load_last_burst"] + 1, ((job["load_last_x"] + 1) * beats - 1) % BURST
        self._units += _loaded_rows(base, job)
        self.loaded = []
        self._room = [at] * job["load_room"]
        self._left = 0

    def release(self, at: int, rows: int) -> None:
        """So many rows have been read in cycle ``at``."""
        self._room += [at + 1] * rows

    def _ask(self) -> bool:
        """Takes the next request, if it is known when it comes; returns whether there is one."""
        if self._left or not self._units or self._units[0][0] >= len(self._room):
            return bool(self._left)
        row, self._burst, self._ends_row = self._units.popleft()
        self._left = self._bursts
        self._taken = max(self._room[row], self._granted + 1)
        self._first = True
        return True

    def offer(self) -> int | None:
        """First cycle in which the next burst is offered; None while that is not known."""
        if not self._ask():
            return None
        since = (self._taken if self._first else self._granted) + OFFER
        return max(since, self._last_words[0] + ROOM)

    def next_burst(self) -> int:
        """Number of the burst that is offered."""
        return self._burst

    def grant(self, cycle: int, access: int) -> None:
        """It was granted, and is read in cycle ``access``."""
        first = access + self.latency
        self._granted, self._first = cycle, False
        self._last_words.append(first + BURST - 1)
        self._burst += 1
        self._left -= 1
        if not self._left and self._ends_row:
            self.loaded.append(first + self._useful)

    def state(self, now: int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, between two jobs."""
        own = (self._burst, self._useful, self._ends_row) if self._left else ()
        left = (len(self._units), self._left, own)
        return left, since(now, self._granted, *self._last_words)


class StoreClient:
    """A storer and its port."""

    writes = True

    def __init__(self) -> None:
        # first burst of each request, and whether it ends a row
        self._units: deque[tuple[int, bool]] = deque()
        self._bursts = 1
        self._waiting: deque[int] = deque()
        self._ready = self._granted = LONG_AGO
        # when words of bursts were taken first
        self._words: deque[int] = deque([LONG_AGO] * WRITE_BURSTS, WRITE_BURSTS)
        self._fed: list[int] = []
        self._first = self._sent = self._request = 0
        self._active = self._ends_row = False
        self._more = False
        self.stored: list[int] = []
        """Cycles in which the job's rows left the ring."""

    def begin(self, base: int, job: Mapping[str, int]) -> None:
        """A job whose first row goes to burst ``base``."""
        assert not self._units
        assert not self._active
        self._bursts = job["store_last_burst"] + 1
        counts = (job["last_pass"] + 1, job["last_y"] + 1, job["last_sub"] + 1)
        firsts = _first_bursts(base, counts, (job["store_dpass"], job["store_dy"], job["store_dsub"]))
        self._units += [(first, number % counts[2] == 0) for number, first in enumerate(firsts, 1)]
        self.stored = []

    def row(self, at: int) -> None:
        """A row is in the ring in cycle ``at``."""
        self._waiting.append(at)
        self._ask()

    def idle(self) -> int | None:
        """Since when all is stored; None while that is not known."""
        if self._active or self._waiting:
            return None
        return max(self._ready - 1, self._granted + 1)

    def _ask(self) -> None:
        """Takes the next request, if it is known when it comes."""
        if self._active:
            return
        if not self._more:
            if not self._waiting:
                return
            self._ready = max(self._ready, self._waiting.popleft() + 2)
        self._first, self._ends_row = self._units.popleft()
        self._request = max(self._ready, self._granted + 1)
        self._active, self._sent, self._fed = True, 0, []
        self._feed()

    def _feed(self) -> None:
        """Cycles in which the last words of bursts go into the port, of all that are known."""
        while len(self._fed) < self._bursts and len(self._fed) - self._sent < WRITE_BURSTS:
            before = self._fed[-1] if self._fed else self._request + FIRST_WORD - 1
            taken = self._words[len(self._fed) - self._sent]
            self._fed.append(max(before + BURST, taken + BURST - 1))
            if len(self._fed) == self._bursts:
                end = self._fed[-1]
                self._more = not self._ends_row
                self._ready = end + (2 if self._ends_row else 1)
                if self._ends_row:
                    self.stored.append(end)

    def offer(self) -> int | None:
        """First cycle in which the next burst is offered; None while that is not known."""
        if not self._active:
            return None
        since = self._granted if self._sent else self._request
        return max(since + OFFER, self._fed[self._sent] + ROOM)

    def next_burst(self) -> int:
        """Number of the burst that is offered."""
        return self._first + self._sent

    def grant(self, cycle: int, access: int) -> None:
        """It was granted, and is written from cycle ``access`` on."""
        self._granted = cycle
        self._words.append(access + 1)
        self._sent += 1
        if self._sent == self._bursts:
            self._active = False
            self._ask()
        else:
            self._feed()

    def state(self, now: int) -> tuple[object, ...]:
        """All that decides what comes from cycle ``now`` on, behind a job's last row."""
        request = (self._first, self._sent, self._ends_row, self._bursts, self._request - now) if self._active else ()
        fed = since(now, *self._fed) if self._active else ()
        times = since(now, self._ready, self._granted, *self._words)
        return len(self._units), since(now, *self._waiting), self._more, request, fed, times


class SpillClock:
    """The spill unit: which rows are permitted when."""

    def __init__(self, latency: int, beats: int, front_size: int) -> None:
        self.load, self.store = LoadClient(latency), StoreClient()
        self.beats, self.front_size = beats, front_size
        self._job: Mapping[str, int] = {}
        self._needs: list[int] = []
        self._releases: list[int] = []
        self._permitted = LONG_AGO
        self._rows = self._done = self._loaded = 0

    def begin(self, at: int, job: Mapping[str, int], second: bool) -> None:
        """A job that is begun in cycle ``at``; ``second``: it loads the second of the front unit's maps."""
        self._job = job
        per_pass = rows_needed(job["last_y"] + 1, job["load_last_row"] + 1, job["need_first"], job["need_step"])
        released = rows_released(per_pass, job["lag"])
        loads = job["load_last_pass"] + 1 if job["load"] else 0
        rest = (job["last_pass"] + 1 - loads) * (job["last_y"] + 1)
        self._needs, self._releases = per_pass * loads + [0] * rest, released * loads + [0] * rest
        self._permitted = at + 1
        self._rows = self._done = self._loaded = 0
        if job["load"]:
            front = self.front_size if second and job["load_front"] else 0
            self.load.begin(at + 2, job, job["load_base"] + front, self.beats)
        if job["store"]:
            self.store.begin(job["store_base"], job)

    def start(self, issued: int) -> int | None:
        """Cycle in which the job that the issue unit begins in cycle ``issued`` is begun; None while not known."""
        idle = self.store.idle()
        return None if idle is None else max(idle, issued + 1)

    def row(self) -> int | None:
        """First cycle in which the next row may be issued; None while that is not known."""
        loaded = self._loaded + self._needs[self._rows]
        at = self._permitted + 1
        if loaded:
            if loaded > len(self.load.loaded):
                return None
            at = max(at, self.load.loaded[loaded - 1] + 2)
        if self._job["store"]:
            left = self._rows + 1 - self._job["store_room"]
            if left > len(self.store.stored):
                return None
            at = max(at, self.store.stored[left - 1] + 1) if left > 0 else at
        return at + GRANT

    def issued(self, permitted: int) -> None:
        """The row that ``row`` gave ``permitted`` for is issued."""
        self._permitted = permitted - GRANT
        self._loaded += self._needs[self._rows]
        self._rows += 1

    def done(self, at: int) -> None:
        """A row is done: all it reads is read, all it makes is in the ring."""
        if self._job["load"]:
            self.load.release(at, self._releases[self._done])
        if self._job["store"]:
            self.store.row(at)
        self._done += 1


__all__ = ["LoadClient", "SpillClock", "StoreClient"]
