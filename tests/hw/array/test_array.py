"""The array against NumPy: sizes by edge, random gaps, tiles back to back, drain while the next tile accumulates."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.sim import Simulator

from bnnhw.hw.array.array import Array
from bnnhw.spec.engine import Popcount


@dataclass
class Tile:
    act: np.ndarray  # (steps, rows, depth) of 0/1
    weights: np.ndarray  # (steps, cols, depth)
    shift: np.ndarray  # (steps,)

    def counts(self, width: int) -> np.ndarray:
        acc = np.zeros((self.act.shape[1], self.weights.shape[1]), dtype=np.int64)
        for a, w, s in zip(self.act, self.weights, self.shift, strict=True):
            acc = (acc << int(s)) + (a[:, None] != w[None]).sum(-1)
        return acc % (1 << width)


def tiles(rng, count, rows, cols, depth):
    for _ in range(count):
        steps = int(rng.integers(1, 7))
        yield Tile(
            rng.integers(0, 2, (steps, rows, depth)),
            rng.integers(0, 2, (steps, cols, depth)),
            rng.integers(0, 2, steps),
        )


def pack(bits):
    """Last axis of 0/1 to one integer, first bit lowest."""
    flat = bits.reshape(-1)
    return sum(int(b) << i for i, b in enumerate(flat))


def run(config, work, gaps, seed=0, early=0):
    """Plays ``work``; gives (counts of every tile as the drain shows them, activation sums)."""
    rng = np.random.default_rng(seed)
    dut = Array(config, early=early)
    found, sums, lasts = [], [], deque()
    drain = config.rows + 2
    state = {"clock": 0}

    async def feed(ctx):
        free = 0
        for tile in work:
            for i in range(len(tile.act)):
                last = i == len(tile.act) - 1
                # The sequencer's promise: no capture while the tile before is drained.
                while rng.random() < gaps or (last and state["clock"] < free):
                    ctx.set(dut.i_valid, 0)
                    ctx.set(dut.i_last, int(rng.integers(0, 2)))
                    await ctx.tick()
                    state["clock"] += 1
                ctx.set(dut.i_act.as_value(), pack(tile.act[i]))
                ctx.set(dut.i_weights.as_value(), pack(tile.weights[i]))
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_shift, int(tile.shift[i]))
                ctx.set(dut.i_last, int(last))
                if last:
                    lasts.append(state["clock"])
                    free = state["clock"] + drain
                await ctx.tick()
                state["clock"] += 1
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(dut.latency + drain + 4)

    async def take(ctx):
        """Asks for rows as the post-processor does; what o_counts shows is looked up ``early`` cycles later."""
        clock, wanted = 0, deque()

        async def tick():
            nonlocal clock
            if wanted and wanted[0] == clock:
                wanted.popleft()
                found.append([ctx.get(dut.o_counts[c]) for c in range(config.cols)])
                sums.append(ctx.get(dut.o_sum) if config.sum_width else 0)
            await ctx.tick()
            clock += 1

        while True:
            while not ctx.get(dut.o_capture):
                await tick()
            assert clock == lasts.popleft() + dut.latency
            spare = drain - config.rows
            for r in range(config.rows):
                while spare and rng.random() < 0.3:
                    spare -= 1
                    await tick()
                wanted.append(clock + early)
                ctx.set(dut.i_next, int(r < config.rows - 1))
                await tick()
                ctx.set(dut.i_next, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(take, background=True)
    sim.run()
    return np.array(found).reshape(-1, config.rows, config.cols), np.array(sums).reshape(-1, config.rows)


@pytest.mark.parametrize("form", Popcount)
@pytest.mark.parametrize(
    ("rows", "cols", "depth", "acc_width", "sum_width"),
    [(1, 1, 1, 4, 0), (1, 2, 2, 3, 2), (2, 1, 3, 9, 0), (3, 5, 8, 5, 6), (4, 4, 15, 12, 12), (2, 3, 17, 21, 9)],
)
@pytest.mark.parametrize(("gaps", "early"), [(0.0, 0), (0.4, 1), (0.2, 2)])
def test_counts(engine_config, form, rows, cols, depth, acc_width, sum_width, gaps, early):
    config = engine_config(rows=rows, cols=cols, depth=depth, acc_width=acc_width, sum_width=sum_width, popcount=form)
    work = list(tiles(np.random.default_rng(depth), 12, rows, cols, depth))
    found, sums = run(config, work, gaps, early=early)
    np.testing.assert_array_equal(found, [t.counts(acc_width) for t in work])
    if sum_width:
        ones = [Tile(t.act, np.zeros_like(t.weights[:, :1]), t.shift).counts(sum_width)[:, 0] for t in work]
        np.testing.assert_array_equal(sums, ones)


@pytest.mark.parametrize("form", Popcount)
def test_deep_words(engine_config, form):
    config = engine_config(rows=2, cols=2, depth=48, acc_width=12, popcount=form)
    work = list(tiles(np.random.default_rng(1), 10, 2, 2, 48))
    work.append(Tile(np.ones((3, 2, 48), int), np.zeros((3, 2, 48), int), np.array([0, 1, 1])))
    found, _ = run(config, work, 0.1)
    np.testing.assert_array_equal(found, [t.counts(12) for t in work])
