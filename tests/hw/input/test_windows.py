"""Input windows against NumPy's im2col of bit planes: stalls, one in use, two on their way."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.input.windows import InputWindows
from bnnhw.sim.kit import Bench, plain
from tests.hw.input.images import SHAPES, configs, random_image, window_words
from tests.hw.input.test_receiver import Sender, script_of


async def read_all(ctx, dut, count):
    """Words of all rows at every address: (rows, words)."""
    found = []
    for n in range(count + 2):
        if n > 1:
            found.append(plain(ctx.get(dut.o_windows)))
        ctx.set(dut.i_address, min(n, count - 1))
        await ctx.tick()
    return np.array(found, object).T


def check(config, found, image):
    expected = window_words(config, image)
    wrong = [(r, n) for (r, n), word in np.ndenumerate(expected) if word is not None and found[r, n] != word]
    assert not wrong, f"row and word {wrong[:3]} of {expected.shape}"


def run(dut, config, images, rng, stall, hold):
    """Computes on every image for a while; in the end its windows must still be whole."""
    bench = Bench(dut, watchdog=100_000)

    async def compute(ctx):
        for image in images:
            while not ctx.get(dut.o_ready):
                await ctx.tick()
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            for _ in range(int(rng.integers(hold + 1))):
                await ctx.tick()
            check(config, await read_all(ctx, dut, config.input.words), image)
            ctx.set(dut.i_done, 1)
            await ctx.tick()
            ctx.set(dut.i_done, 0)

    bench.testbench(Sender(dut.i_image, rng, script_of(images), stall))
    bench.testbench(compute)
    bench.run()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("stall", "hold"), [(0.0, False), (0.2, True)])
def test_windows(engine_config, input_config, name, stall, hold):
    rng = np.random.default_rng(len(name))
    config = configs(engine_config, input_config, name, depth=10)
    cycles = 2 * config.input.out_height * config.input.out_width * max(config.input.taps, 8) if hold else 0
    images = [random_image(rng, config) for _ in range(3)]
    run(InputWindows(config), config, images, rng, stall, cycles)


def test_three_images_ahead_wait(engine_config, input_config):
    """One image in use, one complete, one in the image buffer: then no byte more is taken until one is used up."""
    rng = np.random.default_rng(3)
    config = configs(engine_config, input_config, "3x3")
    images = [random_image(rng, config) for _ in range(4)]
    dut = InputWindows(config)
    bench = Bench(dut, watchdog=5000)
    bench.drive(dut.i_image, script_of(images))

    async def compute(ctx):
        taken = 0
        for _ in range(1500):
            ctx.set(dut.i_start, bool(ctx.get(dut.o_ready)) and taken == 0)
            taken += ctx.get(dut.i_start)
            await ctx.tick()
        assert ctx.get(dut.o_ready)
        assert ctx.get(dut.i_image.valid)
        assert not ctx.get(dut.i_image.ready)
        for n, image in enumerate(images):
            while not ctx.get(dut.o_ready) and n:
                await ctx.tick()
            ctx.set(dut.i_start, n > 0)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            check(config, await read_all(ctx, dut, config.input.words), image)
            ctx.set(dut.i_done, 1)
            await ctx.tick()
            ctx.set(dut.i_done, 0)

    bench.testbench(compute)
    bench.run()


@pytest.mark.parametrize("name", SHAPES)
def test_rate(engine_config, input_config, name):
    """An image takes max(taps, chunks * planes) cycles for each output pixel, and a few to fill and drain.

    A chunk takes three cycles at least."""
    config = configs(engine_config, input_config, name)
    c = config.input
    dut = InputWindows(config)
    bench = Bench(dut)
    bench.drive(dut.i_image, [0] * (c.height * c.width * c.channels))
    cycles = []

    async def wait(ctx):
        while not ctx.get(dut.o_ready):
            await ctx.tick()
        cycles.append(bench.cycle - c.height * c.width * c.channels)

    bench.testbench(wait)
    bench.run()
    pixels = c.out_height * c.out_width
    assert cycles[0] <= pixels * max(c.taps, c.chunks * max(c.planes, 3)) + c.taps + c.planes + 4
