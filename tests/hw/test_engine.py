"""The whole engine on small networks: scores as the golden model's whatever the stalls, counters that add up."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.plan import plan
from bnnhw.hw.engine import Engine
from bnnhw.sim import golden
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.engine import COUNTERS
from tests.hw.input.test_receiver import Sender, script_of
from tests.sim.machine.plan_networks import SHAPES, random_network

CASES = {  # seed of the network, shape; each fits a frame into 450 cycles
    "both pools": (14, 5),
    "codebook, codes, wide halos, no slopes": (24, 4),
    "activation sums, four-bit codes": (33, 4),
    "pooled residual": (34, 4),
}


@pytest.mark.parametrize(("case", "stalls"), [*((case, True) for case in CASES), ("pooled residual", False)])
def test_scores_and_counters(case, stalls):
    seed, shape = CASES[case]
    builder = random_network(seed)
    network = builder.build()
    planned = plan(network, shape=SHAPES[shape])
    images = builder.images(3)
    expected = golden.run(network, images)

    dut = Engine(planned.engine, planned.images)
    bench = Bench(dut, seed=seed, watchdog=20_000)
    rng = np.random.default_rng(seed)
    taken = bench.drain(dut.o_scores, expected.size, stall=0.9 if stalls else 0.0)
    counters = []

    async def watch(ctx):
        """Counters change when a frame is done; its scores are on their way then."""
        seen = [0] * len(COUNTERS)
        while len(taken) < expected.size or len(counters) < 1:
            now = plain(ctx.get(dut.counters))
            if now != seen:
                counters.append(now)
                seen = now
            await ctx.tick()

    bench.testbench(Sender(dut.i_image, rng, script_of(images), 0.3 if stalls else 0.0))
    bench.testbench(watch)
    bench.run()
    count = expected.shape[1]
    assert [t["score"] for t in taken] == expected.reshape(-1).tolist()
    assert [t["last"] for t in taken] == ([0] * (count - 1) + [1]) * len(images)
    causes = planned.cost.causes()
    for now in counters:
        named = dict(zip(COUNTERS, now, strict=True))
        assert named["frame"] == sum(now[1:])
        assert named["issue"] == causes["issue"]
    # a frame that waited for its image has more loaded when it starts, and is never slower than predicted
    assert all(now[0] <= planned.cost.frame for now in counters[1:])
    assert counters[0][0] <= max(planned.cost.first, planned.cost.frame)
