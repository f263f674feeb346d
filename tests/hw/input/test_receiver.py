"""Receiver: pixels in order whatever the stalls, a full image holds the next back."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.input.receiver import Receiver
from bnnhw.sim.kit import Bench
from tests.hw.input.images import configs, random_image


class Sender:
    """Sends bytes with random pauses."""

    def __init__(self, port, rng, script, stall):
        self.port, self.rng, self.script, self.stall = port, rng, list(script), stall

    async def __call__(self, ctx):
        for token in self.script:
            while not ctx.get(self.port.valid) and self.rng.random() < self.stall:
                ctx.set(self.port.payload, int(self.rng.integers(256)))
                await ctx.tick()
            ctx.set(self.port.payload, token)
            ctx.set(self.port.valid, 1)
            while not (await ctx.tick().sample(self.port.ready))[2]:
                pass
            ctx.set(self.port.valid, 0)


def script_of(images):
    """Bytes of the images."""
    return [value for image in images for value in image.reshape(-1).tolist()]


@pytest.mark.parametrize("name", ["one pixel", "dense", "3x3", "stride"])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_images_arrive(engine_config, input_config, name, stall):
    rng = np.random.default_rng(len(name))
    config = configs(engine_config, input_config, name)
    images = [random_image(rng, config) for _ in range(5)]
    dut = Receiver(config)
    bench = Bench(dut, watchdog=100_000)
    got = []

    async def buffer(ctx):
        held = {}
        while len(got) < len(images):
            if ctx.get(dut.o_full):
                assert not ctx.get(dut.o_valid)
                for _ in range(int(rng.integers(4))):
                    assert not ctx.get(dut.i_image.ready)
                    await ctx.tick()
                got.append([held[n] for n in range(dut.pixels)])
                ctx.set(dut.i_release, 1)
                await ctx.tick()
                ctx.set(dut.i_release, 0)
                held = {}
                assert not ctx.get(dut.o_full)
                continue
            if ctx.get(dut.o_valid):
                held[ctx.get(dut.o_index)] = ctx.get(dut.o_pixel)
            await ctx.tick()

    bench.testbench(Sender(dut.i_image, rng, script_of(images), stall))
    bench.testbench(buffer)
    bench.run()
    for image, pixels in zip(images, got, strict=True):
        flat = image.reshape(-1, config.input.channels)
        assert pixels == [sum(int(v) << 8 * c for c, v in enumerate(pixel)) for pixel in flat]
