"""Receiver: pixels in order whatever the stalls, a full image holds the next back, abort drops what is partial."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.input.receiver import Receiver
from bnnhw.sim.kit import Bench
from tests.hw.input.images import configs, random_image


class Sender:
    """Sends a script of bytes and "abort", with random pauses."""

    def __init__(self, port, abort, rng, script, stall):
        self.port, self.abort, self.rng, self.script, self.stall = port, abort, rng, list(script), stall

    async def __call__(self, ctx):
        for token, following in zip(self.script, [*self.script[1:], "abort"], strict=True):
            while not ctx.get(self.port.valid) and self.rng.random() < self.stall:
                ctx.set(self.port.payload, int(self.rng.integers(256)))
                await ctx.tick()
            if token == "abort":
                ctx.set(self.abort, 1)
                if following != "abort" and self.rng.random() < 0.5:  # offered beside the abort: taken after it
                    ctx.set(self.port.payload, following)
                    ctx.set(self.port.valid, 1)
                assert not ctx.get(self.port.ready)
                await ctx.tick()
                ctx.set(self.abort, 0)
                continue
            ctx.set(self.port.payload, token)
            ctx.set(self.port.valid, 1)
            while not (await ctx.tick().sample(self.port.ready))[2]:
                pass
            ctx.set(self.port.valid, 0)


def script_of(rng, images, aborts):
    """Bytes of the images; before some of them a partial image that is aborted."""
    for image in images:
        while rng.random() < aborts:
            yield from rng.integers(0, 256, int(rng.integers(image.size))).tolist()
            yield "abort"
        yield from image.reshape(-1).tolist()


@pytest.mark.parametrize("name", ["one pixel", "dense", "3x3", "stride"])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("aborts", [0.0, 0.5])
def test_images_arrive(engine_config, input_config, name, stall, aborts):
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

    bench.testbench(Sender(dut.i_image, dut.i_abort, rng, script_of(rng, images, aborts), stall))
    bench.testbench(buffer)
    bench.run()
    for image, pixels in zip(images, got, strict=True):
        flat = image.reshape(-1, config.input.channels)
        assert pixels == [sum(int(v) << 8 * c for c, v in enumerate(pixel)) for pixel in flat]


def test_a_full_image_cannot_be_aborted(engine_config, input_config):
    config = configs(engine_config, input_config, "dense")
    dut = Receiver(config)
    bench = Bench(dut)
    bench.drive(dut.i_image, range(12))

    async def abort(ctx):
        while not ctx.get(dut.o_full):
            await ctx.tick()
        ctx.set(dut.i_abort, 1)
        await ctx.tick()
        ctx.set(dut.i_abort, 0)
        for _ in range(3):
            assert ctx.get(dut.o_full)
            await ctx.tick()

    bench.testbench(abort)
    bench.run()
