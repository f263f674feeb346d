"""Counters: every cycle is counted once, by its cause, those between frames with the next one."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from bnnhw.hw.counters import Counters
from bnnhw.sim.kit import Bench, plain

LATE = 5
"""Cycles after a frame's last one by which its counters are shown, at least."""


@pytest.mark.parametrize("causes", [1, 2, 7])
def test_frames(causes: int) -> None:
    rng = Random(causes)
    dut = Counters(causes)
    bench = Bench(dut, watchdog=5000)
    shown: list[list[int]] = []
    expected: list[list[int]] = []

    async def frames(ctx: Any) -> None:
        count = [0] * causes
        for frame in range(6):
            for cycle in range(length := rng.randrange(LATE + 1, 200)):
                cause = rng.randrange(-1, causes)
                over = cycle == length - 1
                if frame and cycle == LATE:
                    shown.append(plain(ctx.get(dut.counters)))
                ctx.set(dut.i_cause, 1 << cause if cause >= 0 else 0)
                ctx.set(dut.i_over, over)
                if cause >= 0:
                    count[cause] += 1
                await ctx.tick()
            expected.append([sum(count), *count])
            count = [0] * causes

    bench.testbench(frames)
    bench.run()
    assert shown == expected[:-1]
