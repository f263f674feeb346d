"""Cost model of engines that spill maps: sequencer, loaders, front unit and SDRAM side by side.

Everything meets at the SDRAM, so no unit's times can be found before the others'. Each unit is a generator that yields
a question (a function that answers None while the answer is not known) and goes on with the answer. While all of them
wait for the SDRAM, its next burst is granted: grants come in the order of time, and what follows from one comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from bnnhw.compiler.cost import BEFORE, Cost, JobCost, Program, settled, tiles, unsteady
from bnnhw.compiler.spill_clock import SpillClock, StoreClient
from bnnhw.compiler.stream_clock import Client, StreamClock, since
from bnnhw.spec import timing
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.front import FrontConfig, FrontStore
from bnnhw.spec.program import Images
from bnnhw.spec.spill import SETTLED, spill_layout, value_beats

FRAMES = 16
"""Frames after which one must begin as an earlier one did; then all that follows is known."""
T = TypeVar("T")
Unit = Generator[Callable[[], Any], Any, None]
FRONT_RING = 5
"""Cycles by which a row's last values are in their ring before its last bits could be in the activation memory."""


class SpilledEngine:
    """One engine, from reset on."""

    def __init__(self, config: EngineConfig, images: Images) -> None:
        assert config.external is not None
        self.config, self.images = config, images
        self.program = Program(config, images)
        layout = spill_layout(config)
        self.moves = [layout.unpack(word) for word in images.spills]
        store = images.front_store
        self.spill = SpillClock(config.external.read_latency, value_beats(config), store.size if store else 0)
        self.front_store = StoreClient() if store else None
        others: list[Client] = [self.spill.load, self.spill.store]
        self.memory = StreamClock(
            config.external,
            ExternalLayout.of(config, images),
            others if self.front_store is None else [self.front_store, *others],
        )
        self.loads: list[tuple[int, int]] = []  # of every pass: when its weights, and all of it, are loaded
        self.retired = [BEFORE] * 2  # of every pass, two before the first included
        self.starts: list[int] = []  # of frames
        self.ends: list[int] = []
        self.taken: list[list[int]] = []  # of frames: cycles in which the jobs' first passes were taken into use
        self.complete: list[int] = []  # of images: when the front unit's map is there
        self.frames: list[tuple[int, tuple[JobCost, ...]]] = []
        self.requested = 0  # passes
        self.states: list[tuple[object, ...]] = []  # in which frames began, from the second on
        self.again: int | None = None  # of those, the first in which frames begin again and again

    def run(self) -> Cost:
        """Frames until one begins as an earlier one did. Raises UnsteadyError where they do not come to be alike."""
        units = [self._prefetch(), self._frames()]
        if self.program.front is not None:
            units.append(self._front(self.program.front.config, self.images.front_store))
        questions = [next(unit) for unit in units]
        while self.again is None:
            moved = False
            for number, unit in enumerate(units):
                answer = questions[number]()
                if answer is not None:
                    questions[number] = unit.send(answer)
                    moved = True
            if not moved:
                self.memory.step()
        cycles = [found for found, _ in self.frames]
        again = cycles[self.again + 1 :]
        if min(again) != max(again):
            raise unsteady(again)
        return Cost(settled(cycles), self.frames[-1][1])

    def _begins(self, start: int, waited: int, passes: int, *times: int) -> None:
        """A frame begins in cycle ``start`` after ``waited`` cycles; ``passes``: of all frames before; ``times``: of
        the frame before. The front unit has just finished and waits for the start; the loads are some passes ahead."""
        loads = [since(start, *load) for load in self.loads[passes:]]
        ahead = self.requested - len(self.loads)
        last = since(start, self.memory.weights.previous, self.memory.params.previous) if ahead else ()
        own = waited, since(start, *times, self.loads[-1][1]), loads, ahead, last
        state = own, self.memory.state(start, self._row)
        if state in self.states:
            self.again = self.states.index(state)
        elif len(self.states) == FRAMES:
            self.again = 0
        self.states.append(state)

    def _row(self, row: int) -> object:
        """What an open row of the SDRAM counts as: the front unit's maps, of whole rows of all banks, take turns."""
        store, chip = self.images.front_store, self.memory.chip
        if store is None:
            return row
        whole, frame = chip.column_bursts * chip.banks, len(self.states) % 2
        if store.base % whole or store.size % whole:
            return row, frame
        second, within = divmod(row - store.base // whole, store.size // whole)
        return (within, (second + frame) % 2) if second in (0, 1) else row

    def _prefetch(self) -> Unit:
        """Loads of weights and parameters, a pass ahead."""
        loaded, number = BEFORE, 0
        while True:
            for job, load in zip(self.program.jobs, self.program.loads, strict=True):
                for _ in range(job["last_pass"] + 1):
                    two_before = yield partial(_at, self.retired, number)
                    request = max(loaded, two_before) + 1
                    self.memory.request(request, load.gaps, load.params)
                    self.requested += 1
                    yield lambda: self.memory.loaded or None
                    last_beat, last_param = self.memory.weights.previous, self.memory.params.previous
                    weights = (last_beat + load.tail if load.gaps else request) + 1
                    loaded = max(weights, last_param + timing.PARAM_TAIL + 1)
                    self.loads.append((weights, loaded))
                    number += 1

    def _front(self, c: FrontConfig, store: FrontStore | None) -> Unit:
        """Maps of the front unit: frame n's is made while frame n - 1 runs."""
        assert self.program.front is not None
        allowed, image = self.program.front.allowed, 0
        while True:
            started = yield partial(self._image, image)
            if store is not None and self.front_store is not None:
                self.front_store.begin(store.base + image % 2 * store.size, _front_job(store))
            row_start, number, stored = started, 0, 0
            for row in range(c.rows):
                while c.rows_until(number) <= row:
                    number += 1
                needed = c.permitted(number)
                since = 0
                if image and needed:
                    since = yield partial(self._allowed, image - 1, needed, allowed)
                row_start = max(row_start + (c.row_cycles if row else 0), since + 1 if since else row_start)
                if store is not None and number > 1:
                    left = yield partial(self._left, number - 2)
                    row_start = max(row_start, left + 1)
                while store is not None and stored < c.pool_height and c.rows_until(stored) - 1 == row:
                    self.front_store.row(row_start + c.tail - FRONT_RING)  # type: ignore[union-attr]
                    stored += 1
            complete = row_start + c.tail
            if store is not None:
                settled = yield self._front_stored
                own = settled + SETTLED + 1
                complete = max(complete + 1, own) if c.bits is not None else own
            self.complete.append(complete)
            image += 1

    def _image(self, number: int) -> int | None:
        """When the first row of an image may begin."""
        if not number:
            return 0
        started = _at(self.starts, number - 1)
        return None if started is None else started + 2

    def _allowed(self, frame: int, rows: int, allowed: Sequence[int]) -> int | None:
        """When a frame's jobs let so many rows of the next first map be stored."""
        taken = self.taken[frame]
        for at, found in zip(taken, allowed, strict=False):
            if found >= rows:
                return at
        return self.ends[frame] - 1 if frame < len(self.ends) else None

    def _left(self, row: int) -> int | None:
        """When a row of the front unit's map left its ring."""
        assert self.front_store is not None
        return _at(self.front_store.stored, row)

    def _front_stored(self) -> int | None:
        assert self.front_store is not None
        return self.front_store.idle()

    def _frames(self) -> Unit:
        """The issue unit and what follows from it, frame by frame."""
        end = passes = number = 0
        timer = BEFORE
        while True:
            start = end
            if self.program.front is not None:
                complete = yield partial(_at, self.complete, number)
                start = max(end, complete)
            if number:
                self._begins(start, start - end, passes, timer, *self.retired[-2:])
            self.starts.append(start)
            self.taken.append([])
            self.memory.frame(start)
            moves, last_issue = iter(self.moves), start
            costs: list[JobCost] = []
            for n, job in enumerate(self.program.jobs):
                spent = dict.fromkeys(self.config.counters[1:], 0)
                spent["front"] = start - end if n == 0 else 0
                spent["pass_"] = int(n == 0)
                for pass_ in range(job["last_pass"] + 1):
                    loads = yield partial(_at, self.loads, passes)
                    passes += 1
                    at = self._wait(spent, last_issue, pass_, *loads)
                    if not pass_:
                        self.taken[-1].append(at)
                        if job["spill"]:
                            yield from self._begin(at, next(moves), number)
                    last_issue, timer = yield from self._pass(n, job, spent, at, timer)
                    self.retired.append(last_issue + self.program.retire[n] + job["drain"])
                if n == len(self.program.jobs) - 1:
                    spent["layer"] += self.retired[-1] + 1 + timing.NOTICE - last_issue
                steps = job["step_last"] - job["step_first"] + 1
                costs.append(JobCost(tuple(spent.values()), job["last_pass"] + 1, steps))
            before, end = end, self.retired[-1] + 2 + timing.NOTICE
            self.ends.append(end)
            self.frames.append((end - before, tuple(costs)))
            number += 1

    def _wait(self, spent: dict[str, int], last_issue: int, pass_: int, weights: int, loaded: int) -> int:
        """Cycle in which a pass is taken into use."""
        at = last_issue + 2  # after the cycle that takes the pass's fields into use
        spent["pass_"] += 1
        for cause, ready in (
            ("weights", weights + timing.NOTICE),
            ("params", loaded + 1 + timing.NOTICE),
            ("layer", at if pass_ else self.retired[-1] + 1 + timing.NOTICE),
        ):
            spent[cause] += max(0, ready - at)
            at = max(at, ready)
        return at

    def _begin(self, at: int, move: dict[str, int], frame: int) -> Unit:
        """The spill unit begins a job that is taken into use in cycle ``at``."""
        begun = yield lambda: self.spill.start(at)
        self.spill.begin(begun, move, bool(frame % 2))

    def _pass(
        self, n: int, job: dict[str, int], spent: dict[str, int], at: int, timer: int
    ) -> Generator[Callable[[], Any], Any, tuple[int, int]]:
        """A pass from cycle ``at`` on; the cycle of its last step, and from when on another tile may end."""
        steps = job["step_last"] - job["step_first"] + 1
        post = job["drain"] if self.program.front is None else job["pace"]
        pace = max(steps, post + 1)
        rows = job["last_y"] + 1 if job["spill"] else 1
        count = tiles(job) // rows
        last_issue = at - 1
        for row in range(rows):
            if job["spill"]:
                permitted = yield self.spill.row
                self.spill.issued(permitted)
                spent["spill"] += max(0, permitted - last_issue - 1)
                last_issue = max(last_issue, permitted - 1)
            first = max(last_issue + steps, timer)
            spent["post"] += first - (last_issue + steps) + (count - 1) * (pace - steps)
            spent["issue"] += steps * count
            last_issue = first + (count - 1) * pace
            timer = last_issue + post + 1 + (timing.POST_SWITCH if row == rows - 1 else 0)
            if job["spill"]:
                self.spill.done(last_issue + self.program.retire[n] + job["drain"])
        return last_issue, timer


def _at(items: Sequence[T], number: int) -> T | None:
    return items[number] if number < len(items) else None


def _front_job(store: FrontStore) -> dict[str, int]:
    """The front unit's map as a job of its storer."""
    return {
        "last_pass": 0,
        "last_y": store.height - 1,
        "last_sub": store.groups - 1,
        "store_last_burst": store.row - 1,
        "store_dpass": 0,
        "store_dy": store.row,
        "store_dsub": store.row * store.height,
    }


def predict_spilled(config: EngineConfig, images: Images) -> Cost:
    """Cycles of a frame of an engine that spills maps. Seconds: each burst of the SDRAM is followed.

    Raises UnsteadyError where frames do not come to be alike."""
    return SpilledEngine(config, images).run()


__all__ = ["predict_spilled"]
