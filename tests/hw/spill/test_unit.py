"""The spill unit with a controller and a chip: what is loaded and stored, and in which cycle each row is permitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
    "one row": [Job(2, 2, 1, 2, 3, 0, 64), Job(2, 1, 1, 2, 3, 64, 0)],
}


def play(config: EngineConfig, jobs: list[Job], seed: int, **options: Any) -> tuple[list[int], list[str]]:
    """Cycles in which the rows are issued, and what is wrong with the words that the lanes read."""
    rng, waits = Random(seed), Random(seed)
    part = config.external.part  # type: ignore[union-attr]
    memory = [rng.getrandbits(16) for _ in range(part.words)]
    beats, bits = value_beats(config), config.lanes * config.post.value_width
    rig = SpillRig(config, jobs, memory, **options)
    bench = Bench(rig, watchdog=20_000)
    ring = [0] * config.spill.load_words  # type: ignore[union-attr]
    issued: list[int] = []
    wrong: list[str] = []
    filling: set[int] = set()  # words that only fill a row's last burst
    ended = False

    def word(burst: int, x: int) -> int:
        first = burst * BURST + x * beats
        return sum(memory[first + n] << 16 * n for n in range(beats)) & ((1 << bits) - 1)

    async def watch(ctx: Any) -> None:
        while not ended:
            _, _, valid, address, found = await ctx.tick().sample(rig.o_valid, rig.o_address, rig.o_word)
            if valid:
                ring[address] = int(found)

    def read(job: Job, number: int, rows: range) -> None:
        size, burst = job.width * job.subs, row_bursts(config, job.width)
        for row in rows:
            for sub in range(job.subs):
                for x in range(job.width):
                    at = ((number * job.height + row) * size + x * job.subs + sub) % len(ring)
                    expected = word((job.source or 0) + ((number * job.subs + sub) * job.height + row) * burst, x)
                    if ring[at] != expected:
                        wrong.append(f"pass {number}, row {row}, group {sub}, x {x}")

    async def write(ctx: Any, job: Job, number: int, y: int) -> int:
        """Writes a row of random words; the cycles it took."""
        assert job.target is not None
        size, burst = job.width * job.subs, row_bursts(config, job.width)
        for x in range(job.width):
            for sub in range(job.subs):
                value = rng.getrandbits(bits)
                first = (job.target + ((number * job.subs + sub) * job.rows + y) * burst) * BURST + x * beats
                for n in range(beats):
                    memory[first + n] = value >> 16 * n & 0xFFFF
                at = ((number * job.rows + y) * size + x * job.subs + sub) % config.spill.store_words
                ctx.set(rig.i_valid, 1)
                ctx.set(rig.i_address, at)
                ctx.set(rig.i_word, value)
                await ctx.tick()
        ctx.set(rig.i_valid, 0)
        bursts = row_bursts(config, job.width)
        for sub in range(job.subs):
            first = (job.target + ((number * job.subs + sub) * job.rows + y) * bursts) * BURST
            filling.update(range(first + job.width * beats, first + bursts * BURST))
        return size

    async def lanes(ctx: Any) -> None:
        nonlocal ended
        for cycle in range(START):
            ctx.set(rig.i_refresh, cycle == START - 1)
            await ctx.tick()
        ctx.set(rig.i_refresh, 0)
        cycle = START
        for job in jobs:
            ctx.set(rig.i_job, 1)
            await ctx.tick()
            ctx.set(rig.i_job, 0)
            cycle += 1
            for row in range(job.passes * job.rows):
                while not ctx.get(rig.o_permitted):
                    await ctx.tick()
                    cycle += 1
                issued.append(cycle)
                ctx.set(rig.i_row, 1)
                number, y = divmod(row, job.rows)
                reads = job.reads(y) if job.source is not None and number < job.loads else range(0)
                read(job, number, reads)
                wait = waits.randrange(*BUSY)
                await ctx.tick()
                ctx.set(rig.i_row, 0)
                spent = 1
                if job.target is not None:
                    spent += await write(ctx, job, number, y)
                for _ in range(max(wait, spent) - spent):
                    await ctx.tick()
                cycle += max(wait, spent)
                read(job, number, reads)
                ctx.set(rig.i_done, 1)
                await ctx.tick()
                ctx.set(rig.i_done, 0)
                cycle += 1
            for _ in range(waits.randrange(1, 60) - 1):
                await ctx.tick()
                cycle += 1
        while not ctx.get(rig.o_idle):
            await ctx.tick()
        for _ in range(40):
            await ctx.tick()
        for address, expected in enumerate(memory):
            if address not in filling and ctx.get(rig.memory.chip.memory.data[address]) != expected:
                wrong.append(f"word {address}")
        ended = True

    bench.testbench(lanes)
    bench.testbench(watch)
    bench.run()
    return issued, wrong


@pytest.fixture
def config(engine_config: Callable[..., EngineConfig]) -> EngineConfig:
    found = engine_config(rows=2, cols=6, lanes=3, depth=3, map_size=16, kernel=3, passes=4)
    return replace(found, post=replace(found.post, value_width=9))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_rows(config: EngineConfig, name: str, seed: int) -> None:
    """Lanes that take their time read what was stored, and rows are permitted when the clock says."""
    jobs = CASES[name]
    own = spilling(config, len(jobs), 32)
    issued, wrong = play(own, jobs, seed)
    assert not wrong
    assert issued == predicted(own, jobs, Random(seed), START)


class Hasty(SpillUnit):
    """Permits rows whether they are loaded or not."""

    def _permit(self, m: Module, begin: Signal, job: Signal) -> None:
        m.d.comb += self.o_permitted.eq(1)


def test_rows_that_are_not_loaded_are_seen(config: EngineConfig) -> None:
    jobs = CASES["residual"]
    _, wrong = play(spilling(config, len(jobs), 32), jobs, 1, unit=Hasty)
    assert wrong
