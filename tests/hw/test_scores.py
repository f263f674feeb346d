"""Scores: class order, padding dropped, two frames kept, stalls on the output, no frame started without room."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.scores import Scores
from bnnhw.sim.kit import Bench

WIDTH = 9
SHAPES = [  # scores, lanes, vectors of a frame (a pass always gives all its vectors, also those beyond the scores)
    (1, 1, 1),
    (1, 4, 1),
    (4, 4, 1),
    (5, 4, 2),
    (10, 4, 3),
    (10, 4, 4),
    (3, 2, 8),
    (10, 1, 12),
    (8, 8, 3),
]


@pytest.mark.parametrize(("scores", "lanes", "vectors"), SHAPES)
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_frames(engine_config, post_config, scores, lanes, vectors, stall):
    rng = np.random.default_rng(scores)
    dut = Scores(engine_config(lanes=lanes, scores=scores, post=post_config(value_width=WIDTH)))
    frames = rng.integers(-(1 << WIDTH - 1), 1 << WIDTH - 1, (6, vectors * lanes))
    bench = Bench(dut, seed=scores)
    taken = bench.drain(dut.o_scores, 6 * scores, stall=stall)
    ahead = []

    async def compute(ctx):
        for frame in frames:
            while not ctx.get(dut.o_room):
                await ctx.tick()
            ahead.append(len(ahead) - len(taken) // scores)
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            for vector in frame.reshape(vectors, lanes).tolist():
                for _ in range(int(rng.integers(3))):  # not a vector
                    ctx.set(dut.i_scores, rng.integers(-9, 9, lanes).tolist())
                    await ctx.tick()
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_scores, vector)
                await ctx.tick()
                ctx.set(dut.i_valid, 0)

    bench.testbench(compute)
    bench.run()
    wanted = [{"score": int(v), "last": int(n == scores - 1)} for frame in frames for n, v in enumerate(frame[:scores])]
    assert taken == wanted
    assert max(ahead) <= 1  # frames before this one whose scores are not all sent


def test_room_for_two_frames(engine_config, post_config):
    """Untaken scores of two frames fit; then there is no room until the last score of the first is taken."""
    dut = Scores(engine_config(lanes=2, scores=5, post=post_config(value_width=WIDTH)))
    bench = Bench(dut)
    taken = bench.drain(dut.o_scores, 10, start=30)
    room = []

    async def compute(ctx):
        for cycle in range(60):
            room.append(ctx.get(dut.o_room))
            ctx.set(dut.i_start, cycle in (0, 8))
            first, n = (2, cycle - 2) if cycle < 8 else (10, cycle - 10)
            ctx.set(dut.i_valid, cycle in range(first, first + 3))
            ctx.set(dut.i_scores, [10 * first + 2 * n, 10 * first + 2 * n + 1] if 0 <= n < 3 else [0, 0])
            await ctx.tick()

    bench.testbench(compute)
    bench.run()
    assert [t["score"] for t in taken] == [20, 21, 22, 23, 24, 100, 101, 102, 103, 104]
    full = [cycle for cycle, has in enumerate(room) if not has]
    assert full[0] == 9
    assert full[-1] == 34  # the first frame's fifth score is taken in cycle 34
    assert full == list(range(9, 35))
