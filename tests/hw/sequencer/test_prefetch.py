"""Prefetcher against the times that the cost model counts with: requests, ready signals, drained."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.sequencer.prefetch import Prefetcher
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.program import Images, load_layout

SIGNALS = ("o_weights_ready", "o_params_ready", "o_drained")


def run(config, images, durations, uses):
    """Plays passes: ``durations`` (weights, params) of loading each; ``uses`` (wait before taking, from take to
    retirement). Returns requests, cycles of takes and retirements, and the three outputs cycle by cycle.

    A pass is taken only when it is ready, and at most two are open, as the issue unit does it.
    """
    dut = Prefetcher(config, images)
    bench = Bench(dut)
    requests, takes, retires, seen = [], [], [], []

    async def surroundings(ctx):
        cycle, due, retire_at = 0, {"weights": None, "params": None}, []
        ctx.set(dut.o_weights.ready, 1)
        ctx.set(dut.o_params.ready, 1)
        wait = uses[0][0]
        while len(retires) < len(uses):
            ctx.set(dut.i_weights_loaded, due["weights"] == cycle)
            ctx.set(dut.i_params_loaded, due["params"] == cycle)
            retired = bool(retire_at) and retire_at[0] <= cycle
            ctx.set(dut.i_retired, retired)
            if retired:
                retires.append(cycle)
                retire_at.pop(0)
            now = {name: ctx.get(getattr(dut, name)) for name in SIGNALS}
            take = len(takes) < len(uses) and now["o_weights_ready"] and now["o_params_ready"] and wait == 0
            if now["o_params_ready"] and not take:
                wait = max(0, wait - 1)
            ctx.set(dut.i_take, take)
            if take:
                # the last output of a pass is stored after that of the pass before
                retire_at.append(max([cycle + uses[len(takes)][1], *(t + 2 for t in retire_at)]))
                takes.append(cycle)
                wait = uses[min(len(takes), len(uses) - 1)][0] + 1
            if ctx.get(dut.o_params.valid):
                number = len(requests)
                weights = plain(ctx.get(dut.o_weights.payload)) if ctx.get(dut.o_weights.valid) else None
                requests.append((cycle, weights, plain(ctx.get(dut.o_params.payload))))
                slow = durations[number % len(durations)]
                due = {"weights": cycle + slow[0] if weights else None, "params": cycle + slow[1]}
            else:
                assert not ctx.get(dut.o_weights.valid)
            seen.append(now)
            await ctx.tick()
            cycle += 1

    bench.testbench(surroundings)
    bench.run()
    return requests, takes, retires, seen


@pytest.mark.parametrize("jobs", [1, 2, 3, 5])
@pytest.mark.parametrize("tau", [0, 4])
@pytest.mark.parametrize("seed", range(2))
def test_requests_and_times(engine_config, jobs, tau, seed):
    rng = np.random.default_rng([seed, jobs, tau])
    config = engine_config(jobs=jobs, passes=3, tau=tau, weight_words=12, classes=9, decodes=6 if tau else 0)
    loads, words = [], []
    for _ in range(jobs):
        load = {"weights": int(rng.random() < 0.7), "last_class": int(rng.integers(9))}
        load |= {"last_word": int(rng.integers(12)) if load["weights"] else 0}
        load["codebook"] = int(rng.integers(2)) if tau else 0
        load |= {"decode": int(rng.integers(6))} if tau else {}
        passes = int(rng.integers(1, 4))
        words.append(load_layout(config).pack(load | {"last_pass": passes - 1}))
        loads += [load] * passes
    images = Images((), (), tuple(words), (), (), ())
    durations = [(int(rng.integers(2, 20)), int(rng.integers(2, 20))) for _ in range(23)]
    uses = [(int(rng.integers(0, 8)), int(rng.integers(1, 30))) for _ in range(23)]
    requests, takes, retires, seen = run(config, images, durations, uses)

    loaded, weights_at, params_at = 3, [], []  # the first descriptor is there 4 cycles after reset
    for n, (cycle, weights, params) in enumerate(requests):
        load, bank = loads[n % len(loads)], n % 2
        assert params == {"last_class": load["last_class"], "bank": bank}
        assert weights == ({**load, "bank": bank} if load["weights"] else None)
        # as soon as the pass before is loaded and the pass whose bank it takes is retired
        due = max(loaded + 1, retires[n - 2] + 1) if n > 1 else loaded + 1
        assert cycle == due, f"request {n}"
        slow = durations[n % len(durations)]
        weights_at.append(cycle + (slow[0] if load["weights"] else 0) + 1)
        loaded = cycle + max(slow[0] if load["weights"] else 0, slow[1]) + 1
        params_at.append(loaded + 1)
    for cycle, now in enumerate(seen):
        taken = sum(t < cycle for t in takes)
        retired = sum(t < cycle for t in retires)
        assert now["o_drained"] == (taken == retired), f"cycle {cycle}"
        following = taken < len(requests)
        assert now["o_params_ready"] == (following and cycle >= params_at[taken]), f"cycle {cycle}"
        assert now["o_weights_ready"] == (following and cycle >= weights_at[taken]), f"cycle {cycle}"
