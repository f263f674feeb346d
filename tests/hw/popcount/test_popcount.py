"""Both forms of the popcount against bit counting: every size by edge, a count a cycle."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from bnnhw.hw.popcount.popcount import Popcount
from bnnhw.hw.popcount.tree import luts, plan, size, skews
from bnnhw.spec import engine
from bnnhw.spec.timing import popcount_levels

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 30, 31, 32, 47, 48, 63, 64, 65]


@pytest.mark.parametrize("form", engine.Popcount)
@pytest.mark.parametrize("products", SIZES)
def test_counts_differing_bits(products, form):
    dut = Popcount(products=products, form=form)
    rng = random.Random(products)
    every = (1 << products) - 1
    pairs = [(0, 0), (every, 0), (0, every), (every, every)]
    pairs += [(rng.getrandbits(products), rng.getrandbits(products)) for _ in range(60)]
    skew = dut.skew
    found = []

    def skewed(word_of, clock):
        bits = ((word_of(clock - skew[i]) >> i & 1) << i for i in range(products))
        return sum(bits)

    async def bench(ctx):
        for clock in range(len(pairs) + dut.latency):
            for port, k in ((dut.i_act, 0), (dut.i_weights, 1)):
                ctx.set(port, skewed(lambda t, k=k: pairs[t][k] if 0 <= t < len(pairs) else 0, clock))
            if clock >= dut.latency:
                found.append(ctx.get(dut.o))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert found == [(a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("products", range(1, 130))
def test_plan_takes_every_product_once(products):
    assert size(plan(products)) == products
    levels = popcount_levels(products)
    assert min(skews(products)) == 0
    assert max(skews(products)) < levels
    assert 2 ** (levels + 1) - 1 >= products


def test_cost_of_63_products():
    """16 triples and 15 adders swallow 63 products."""
    assert luts(63) == 16 * 2 + 8 * 3 + 4 * 4 + 2 * 5 + 6
