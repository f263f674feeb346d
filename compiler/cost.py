"""Cost model: exact cycles of a program, job by job, and what each cycle was spent on.

The engine's units meet at few points (a pass may start when its data are loaded, when earlier layers are stored, when
the post-processor is free), so the time of every event follows from those before it without simulating cycles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bnnhw.compiler.stream_clock import StreamClock
from bnnhw.errors import UnsteadyError
from bnnhw.spec import timing
from bnnhw.spec.engine import ALL_COUNTERS, COUNTERS, EngineConfig
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.front import FrontConfig
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.program import POOL, Images, load_layout

CAUSES = COUNTERS[1:]


@dataclass(frozen=True)
class JobCost:
    """Cycles of one job by cause, in the order of the engine's counters; its passes, and its steps for each tile."""

    cycles: tuple[int, ...]
    passes: int
    steps: int

    @property
    def total(self) -> int:
        return sum(self.cycles)

    def after(self, front: int) -> JobCost:
        """The same with cycles in which the frame waited for the front unit."""
        at = CAUSES.index("front")
        return replace(self, cycles=(*self.cycles[:at], self.cycles[at] + front, *self.cycles[at + 1 :]))


@dataclass(frozen=True)
class Cost:
    """Predicted cycles of ``frames`` after reset, the last of which stands for all that follow; ``jobs`` of that."""

    frames: tuple[int, ...]
    jobs: tuple[JobCost, ...]

    @property
    def first(self) -> int:
        """Cycles of the first frame after reset, whose weights have long been there."""
        return self.frames[0]

    @property
    def frame(self) -> int:
        """Cycles of a frame that follows others."""
        return self.frames[-1]

    def causes(self) -> dict[str, int]:
        """Cycles of a frame by cause."""
        names = ALL_COUNTERS[1 : len(self.jobs[0].cycles) + 1]
        return {name: sum(job.cycles[n] for job in self.jobs) for n, name in enumerate(names)}


@dataclass(frozen=True)
class _Load:
    """What a pass has loaded: the least cycles before each weight beat beyond one, the cycles from the last beat to the
    end; parameter beats."""

    gaps: tuple[int, ...]
    tail: int
    params: int

    @classmethod
    def of(cls, config: EngineConfig, fields: Mapping[str, int], decodes: Sequence[int]) -> _Load:
        params = timing.param_beats(config, fields["last_class"])
        if not fields["weights"]:
            return cls((), 0, params)
        return cls(*timing.load_gaps(config, fields, decodes), params)

    def unhindered(self, request: int) -> tuple[int, int]:
        """Cycles in which the last weight and parameter beats are taken, when beats are always at hand."""
        return request + sum(self.gaps) + len(self.gaps), request + self.params


class Program:
    """Unpacked descriptors, and for each job's passes the times that do not depend on others."""

    def __init__(self, config: EngineConfig, images: Images) -> None:
        layout, loads = job_layout(config), load_layout(config)
        self.jobs = [layout.unpack(word) for word in images.jobs]
        self.loads = [_Load.of(config, loads.unpack(word), images.decodes) for word in images.loads]
        self.streams = None
        if config.external is not None:
            self.streams = StreamClock(config.external, ExternalLayout.of(config, images))
        result = timing.post_latency(config)
        self.front = None
        if config.front is not None:
            self.front = FrontClock(config.front, [job["front_rows"] for job in self.jobs])
        array = timing.array_latency(config.depth) - timing.EARLY
        fetch = [
            timing.POOL_FETCH + timing.pool_latency(config) if job["kind"] == POOL else timing.FETCH + array
            for job in self.jobs
        ]
        self.retire = [latency + result for latency in fetch]

    def state(self, start: int, waited: int, *times: int) -> tuple[object, ...]:
        """All that decides the cycles of a frame which starts in cycle ``start`` after ``waited`` cycles: ``times`` of
        the frame before it, and what the streams are at."""
        streams = None if self.streams is None else self.streams.state(start)
        return waited, [time - start for time in times], streams


def predict(config: EngineConfig, images: Images) -> Cost:
    """Cycles of a frame. Milliseconds: the work is proportional to the number of passes.

    Raises UnsteadyError where frames never come to be alike, because their refreshes fall elsewhere each time.
    """
    if config.spill is not None:
        from bnnhw.compiler.spill_cost import predict_spilled

        return predict_spilled(config, images)
    program = Program(config, images)
    # The times of the frames before this one: when the loader finished, and when the last two passes retired.
    loaded, retired = BEFORE, [BEFORE] * 2
    timer = BEFORE
    states: list[tuple[object, ...]] = []
    cycles: list[int] = []
    start, waited = 0, 0 if program.front is None else program.front.config.cycles
    while (state := program.state(start, waited, loaded, *retired, timer)) not in states and len(states) < MOST:
        states.append(state)
        costs, loaded, retired, timer, end, taken = _frame(program, start, loaded, retired, timer)
        jobs = (costs[0].after(waited), *costs[1:])
        cycles.append(waited + end - start)
        waited = 0 if program.front is None else max(0, program.front.complete(start, taken, end) - end)
        start = end + waited
    again = cycles[states.index(state) if state in states else 0 :]
    if min(again) != max(again):
        raise unsteady(again)
    return Cost(settled(cycles), jobs)


def unsteady(cycles: Sequence[int]) -> UnsteadyError:
    """The error for frames of so many cycles in turn."""
    return UnsteadyError(
        f"frames must come to take equally many cycles, not {min(cycles)} to {max(cycles)} in turn: choose another "
        "clock or shape"
    )


def settled(cycles: Sequence[int]) -> tuple[int, ...]:
    """The same cycles when the last ones repeat for ever, without repetitions at the end; of two frames at least."""
    count = len(cycles)
    while count > 2 and cycles[count - 2] == cycles[-1]:
        count -= 1
    return tuple(cycles[:count])


MOST = 64
"""Frames after which one must begin as an earlier one did; then all that follows is known."""
BEFORE = -(1 << 15)
"""When the first two passes may be loaded: long before the first frame."""


class FrontClock:
    """When the front unit has the next frame's first map complete; ``rows``: of that map, allowed from each job on."""

    def __init__(self, config: FrontConfig, rows: Sequence[int]) -> None:
        self.config, self.allowed = config, rows

    def complete(self, start: int, taken: Sequence[int], end: int) -> int:
        """First cycle in which the next frame could start, of a frame that starts in cycle ``start`` and ends before
        ``end``; ``taken``: cycles in which its jobs' first passes were taken into use."""
        c = self.config
        row_start, number = start + 2, 0
        for row in range(c.rows):
            while c.rows_until(number) <= row:
                number += 1
            needed = c.permitted(number)
            since = next((at for at, rows in zip(taken, self.allowed, strict=True) if rows >= needed), end - 1)
            row_start = max(row_start + (c.row_cycles if row else 0), since + 1 if needed else 0)
        return row_start + c.tail


def _frame(
    program: Program, start: int, loaded: int, retired: Sequence[int], timer: int
) -> tuple[tuple[JobCost, ...], int, list[int], int, int, list[int]]:
    """One frame from cycle ``start``: its jobs' costs, the state that the next frame starts from, and the cycles in
    which the jobs' first passes were taken into use.

    loaded: cycle in which the loader finished its last request. timer: first cycle in which the post-processor takes
    another tile.
    """
    if program.streams is not None:
        program.streams.frame(start)
    costs: list[JobCost] = []
    taken: list[int] = []
    retired = list(retired)
    last_issue = start  # the cycle that sees the frame start counts to the first pass
    for n, (job, load) in enumerate(zip(program.jobs, program.loads, strict=True)):
        spent = dict.fromkeys(CAUSES, 0)
        spent["pass_"] = int(n == 0)
        steps, count = (job["step_last"] - job["step_first"]) + 1, tiles(job)
        post = job["drain"] if program.front is None else job["pace"]
        pace = max(steps, post + 1)
        for number in range(job["last_pass"] + 1):
            request = max(loaded + 1, retired[-2] + 1)
            if program.streams is None:
                last_beat, last_param = load.unhindered(request)
            else:
                last_beat, last_param = program.streams.load(request, load.gaps, load.params)
            weights = (last_beat + load.tail if load.gaps else request) + 1
            loaded = max(weights, last_param + timing.PARAM_TAIL + 1)
            at = last_issue + 2  # after the cycle that takes the pass's fields into use
            spent["pass_"] += 1
            for cause, ready in (
                ("weights", weights + timing.NOTICE),
                ("params", loaded + 1 + timing.NOTICE),
                ("layer", at if number else retired[-1] + 1 + timing.NOTICE),
            ):
                spent[cause] += max(0, ready - at)
                at = max(at, ready)
            taken += [] if number else [at]
            first_last = max(at + steps - 1, timer)
            last_issue = first_last + (count - 1) * pace
            spent["post"] += first_last - (at + steps - 1) + (count - 1) * (pace - steps)
            spent["issue"] += steps * count
            timer = last_issue + post + timing.POST_SWITCH + 1
            retired.append(last_issue + program.retire[n] + job["drain"])
        if n == len(program.jobs) - 1:
            spent["layer"] += retired[-1] + 1 + timing.NOTICE - last_issue
        costs.append(JobCost(tuple(spent.values()), job["last_pass"] + 1, steps))
    end = retired[-1] + 2 + timing.NOTICE
    return tuple(costs), loaded, retired[-2:], timer, end, taken


def tiles(job: Mapping[str, int]) -> int:
    """Tiles of a pass."""
    positions = (job["last_y"] + 1) * (job["last_lx"] + 1)
    return positions * (job["last_r"] + 1) if job["kind"] == POOL else positions
