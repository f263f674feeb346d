"""Tap walker against nested loops: every shape, with pauses, two images after each other."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.input.taps import TapWalker
from bnnhw.sim.kit import Bench, plain
from tests.hw.input.images import SHAPES, configs


def taps_of(c):
    """(flags, y, x) of every tap in order."""
    for oy in range(c.out_height):
        for ox in range(c.out_width):
            for k in range(c.taps):
                y, x = oy * c.stride - c.pad + k // c.kernel, ox * c.stride - c.pad + k % c.kernel
                last, window = k == c.taps - 1 or k % c.chunk_taps == c.chunk_taps - 1, k == c.taps - 1
                row = window and ox == c.out_width - 1
                flags = {
                    "inside": 0 <= y < c.height and 0 <= x < c.width,
                    "first": k % c.chunk_taps == 0,
                    "last": last,
                    "strip_end": row or (window and ox % c.strip == c.strip - 1),
                    "row_end": row,
                    "end": row and oy == c.out_height - 1,
                }
                yield flags, y * c.width + x


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("pauses", [0.0, 0.4])
def test_taps(engine_config, input_config, name, pauses):
    rng = np.random.default_rng(2)
    config = configs(engine_config, input_config, name)
    dut = TapWalker(config)
    bench = Bench(dut, watchdog=100_000)

    async def walk(ctx):
        for _ in range(2):
            for _ in range(int(rng.integers(3))):
                ctx.set(dut.i_go, int(rng.integers(2)))  # nothing to take
                assert not ctx.get(dut.o_valid)
                await ctx.tick()
            ctx.set(dut.i_begin, 1)
            await ctx.tick()
            ctx.set(dut.i_begin, 0)
            for n, (flags, address) in enumerate(taps_of(config.input)):
                while rng.random() < pauses:
                    ctx.set(dut.i_go, 0)
                    await ctx.tick()
                ctx.set(dut.i_go, 1)
                assert ctx.get(dut.o_valid)
                assert plain(ctx.get(dut.o_tap)) == flags, f"tap {n}"
                assert not flags["inside"] or ctx.get(dut.o_address) == address, f"tap {n}"
                await ctx.tick()
            assert not ctx.get(dut.o_valid)

    bench.testbench(walk)
    bench.run()
