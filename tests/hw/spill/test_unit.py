"""The spill unit with a controller and a chip: what is loaded and stored, and in which cycle each row is permitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import pytest
from amaranth import Module, Signal

from bnnhw.hw.spill.unit import SpillUnit
from bnnhw.sim.kit import Bench
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.sdram import BURST
from bnnhw.spec.spill import row_bursts, value_beats
from tests.hw.spill.rig import BUSY, Job, SpillRig, predicted, spilling

START = 400
CONV = Job(passes=3, loads=2, rows=4, subs=2, width=5, source=0, target=100)
CASES = {
    "residual": [CONV, Job(2, 2, 4, 2, 5, 100, 300)],
    "store only, then pool": [Job(2, 2, 6, 1, 7, None, 40), Job(2, 2, 3, 1, 7, 40, None, kernel=2, stride=2)],
    "overlapping windows": [Job(1, 1, 9, 1, 6, None, 0), Job(1, 1, 4, 1, 6, 0, 200, kernel=3, stride=2)],
    "overlapping windows of passes": [Job(3, 3, 3, 1, 6, None, 0), Job(3, 3, 2, 1, 6, 0, 200, kernel=2, stride=1)],
    "padding": [Job(2, 2, 5, 1, 6, None, 0), Job(2, 2, 3, 1, 6, 0, 200, kernel=3, stride=2, above=1, below=1)],
    "rings filled to the last word": [Job(2, 2, 6, 2, 4, None, 0), Job(2, 2, 6, 2, 4, 0, 200)],
    "two sources in turns": [
        Job(2, 2, 4, 2, 3, None, 0),
        Job(3, 3, 4, 2, 3, None, 60),
        Job(3, 3, 4, 2, 3, 60, 150, second=0, seconds=2),
    ],
    "two sources, both to the last pass": [
        Job(2, 2, 3, 1, 6, None, 0),
        Job(2, 2, 3, 1, 6, None, 60),
        Job(2, 2, 3, 1, 6, 0, 120, second=60, seconds=2),
        Job(2, 2, 3, 1, 6, 120, None),
    ],
    "repeated": [Job(2, 2, 3, 2, 3, None, 0), Job(4, 4, 3, 2, 3, 0, 60, tile=2), Job(3, 3, 3, 2, 3, 60, None, tile=1)],
    "two sources, one or both repeated": [
        Job(2, 2, 3, 1, 5, None, 0),
        Job(4, 4, 3, 1, 5, 0, 100, second=40, seconds=1, tile=2),
        Job(4, 4, 3, 1, 5, 0, 160, second=100, seconds=4, tile=2, second_tile=3),
    ],
    "repeated, each row waited for": [Job(1, 1, 2, 2, 16, None, 0), Job(3, 3, 2, 2, 16, 0, None, tile=1)],
    "two sources, each row waited for": [
        Job(1, 1, 2, 2, 8, None, 0),
        Job(3, 3, 2, 2, 8, None, 40),
        Job(3, 3, 2, 2, 8, 40, None, second=0, seconds=3, second_tile=1),
    ],
    "one row": [Job(2, 2, 1, 2, 3, 0, 64), Job(2, 1, 1, 2, 3, 64, 0)],
}


class Play:
    """Jobs on a rig, whose memory and lanes' rings are compared with what was stored."""

    def __init__(self, config: EngineConfig, jobs: list[Job], seed: int, **options: Any) -> None:
        assert config.spill is not None
        assert config.external is not None
        self.config, self.jobs = config, jobs
        self.rng, self.waits = Random(seed), Random(seed)
        self.memory = [self.rng.getrandbits(16) for _ in range(config.external.part.words)]
        self.beats, self.bits = value_beats(config), config.lanes * config.post.value_width
        self.rig = SpillRig(config, jobs, self.memory, **options)
        self.ring, self.stores = [0] * config.spill.load_words, config.spill.store_words
        self.cycle = 0
        self.issued: list[int] = []
        self.wrong: list[str] = []
        self.filling: set[int] = set()  # words that only fill a row's last burst
        self.ended = False

    def run(self) -> tuple[list[int], list[str]]:
        """Cycles in which the rows are issued, and what is wrong with the words that the lanes read."""
        bench = Bench(self.rig, watchdog=20_000)
        bench.testbench(self._lanes)
        bench.testbench(self._watch)
        bench.run()
        return self.issued, self.wrong

    async def _watch(self, ctx: Any) -> None:
        rig = self.rig
        while not self.ended:
            _, _, valid, address, found = await ctx.tick().sample(rig.o_valid, rig.o_address, rig.o_word)
            if valid:
                self.ring[address] = int(found)

    async def _tick(self, ctx: Any, count: int = 1) -> None:
        for _ in range(count):
            await ctx.tick()
        self.cycle += count

    async def _pulse(self, ctx: Any, signal: Signal) -> None:
        ctx.set(signal, 1)
        await self._tick(ctx)
        ctx.set(signal, 0)

    def _read(self, job: Job, number: int, rows: range) -> None:
        burst = row_bursts(self.config, job.width)
        for row, sub, x in product(rows, range(job.subs), range(job.width)):
            at = ((number * job.height + row) * job.width + x) * job.cell + sub
            for order, (base, own) in enumerate(job.sources(number)):
                found = self.ring[(at + order * job.subs) % len(self.ring)]
                if found != self._word(base + ((own * job.subs + sub) * job.height + row) * burst, x):
                    self.wrong.append(f"pass {number}, row {row}, group {sub} of source {order}, x {x}")

    def _word(self, burst: int, x: int) -> int:
        first = burst * BURST + x * self.beats
        return sum(self.memory[first + n] << 16 * n for n in range(self.beats)) & ((1 << self.bits) - 1)

    async def _write(self, ctx: Any, job: Job, number: int, y: int) -> None:
        """Writes a row of random words."""
        assert job.target is not None
        rig, size, bursts = self.rig, job.width * job.subs, row_bursts(self.config, job.width)
        rows = [(job.target + ((number * job.subs + sub) * job.rows + y) * bursts) * BURST for sub in range(job.subs)]
        for x in range(job.width):
            for sub in range(job.subs):
                value = self.rng.getrandbits(self.bits)
                for n in range(self.beats):
                    self.memory[rows[sub] + x * self.beats + n] = value >> 16 * n & 0xFFFF
                ctx.set(rig.i_valid, 1)
                ctx.set(rig.i_address, ((number * job.rows + y) * size + x * job.subs + sub) % self.stores)
                ctx.set(rig.i_word, value)
                await self._tick(ctx)
        ctx.set(rig.i_valid, 0)
        for first in rows:
            self.filling.update(range(first + job.width * self.beats, first + bursts * BURST))

    async def _row(self, ctx: Any, job: Job, number: int, y: int) -> None:
        """Waits for permission, reads and writes a row."""
        rig = self.rig
        while not ctx.get(rig.o_permitted):
            await self._tick(ctx)
        self.issued.append(self.cycle)
        ctx.set(rig.i_row, 1)
        reads = job.reads(y) if job.source is not None and number < job.loads else range(0)
        self._read(job, number, reads)
        ends = self.cycle + self.waits.randrange(*BUSY)
        await self._tick(ctx)
        ctx.set(rig.i_row, 0)
        if job.target is not None:
            await self._write(ctx, job, number, y)
        await self._tick(ctx, max(0, ends - self.cycle))
        self._read(job, number, reads)
        await self._pulse(ctx, rig.i_done)

    async def _lanes(self, ctx: Any) -> None:
        rig = self.rig
        await self._tick(ctx, START - 1)
        await self._pulse(ctx, rig.i_refresh)
        for job in self.jobs:
            await self._pulse(ctx, rig.i_job)
            for row in range(job.passes * job.rows):
                await self._row(ctx, job, *divmod(row, job.rows))
            await self._tick(ctx, self.waits.randrange(1, 60) - 1)
        while not ctx.get(rig.o_idle):
            await self._tick(ctx)
        await self._tick(ctx, 40)
        for address, expected in enumerate(self.memory):
            if address not in self.filling and ctx.get(rig.memory.chip.memory.data[address]) != expected:
                self.wrong.append(f"word {address}")
        self.ended = True


@pytest.fixture
def config(engine_config: Callable[..., EngineConfig]) -> EngineConfig:
    found = engine_config(rows=2, cols=6, lanes=3, depth=3, map_size=16, kernel=3, passes=4)
    return replace(found, post=replace(found.post, value_width=9))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_rows(config: EngineConfig, name: str, seed: int) -> None:
    """Lanes that take their time read what was stored, and rows are permitted when the clock says."""
    jobs = CASES[name]
    own = spilling(config, jobs, 32)
    issued, wrong = Play(own, jobs, seed).run()
    assert not wrong
    assert issued == predicted(own, jobs, Random(seed), START)


class Hasty(SpillUnit):
    """Permits rows whether they are loaded or not."""

    def _permit(self, m: Module, begin: Signal, job: Signal) -> None:
        m.d.comb += self.o_permitted.eq(1)


def test_rows_that_are_not_loaded_are_seen(config: EngineConfig) -> None:
    jobs = CASES["residual"]
    _, wrong = Play(spilling(config, jobs, 32), jobs, 1, unit=Hasty).run()
    assert wrong
