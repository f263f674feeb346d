"""Boot: what is loaded is in the chip and is checked; until then nothing is played; refreshes go on all the while."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from bnnhw.hw.boot import PORT, Boot
from bnnhw.hw.memory.player import SdramPlayer
from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.sim.kit import Bench
from bnnhw.spec.external import BURST_BYTES, Region, WeightImage
from bnnhw.spec.sdram import BURST
from tests.hw.sdram.rig import Rig, at, small

LATE = 2


class Booted(wiring.Component):
    """Boot, and a player of the first of its bursts, with controller and chip."""

    def __init__(self, image: WeightImage, *, delay: int = LATE) -> None:
        part = small()
        self.rig = Rig(part, at(part), configs=(PortConfig("weights"), PORT), late=LATE, delay=delay)
        self.boot = Boot(part=part, image=image)
        self.player = SdramPlayer(part=part, region=Region(0, 2 * BURST, 16))
        super().__init__(
            {
                "i": self.boot.signature.members["i"],
                "state": self.boot.signature.members["state"],
                "o": Out(self.player.o.signature),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rig, m.submodules.boot, m.submodules.player = rig, boot, player = self.rig, self.boot, self.player
        connect(m, flipped(self.i), boot.i)
        connect(m, boot.o_request, rig.i_host)
        connect(m, boot.o_words, rig.i_host_words)
        connect(m, rig.o_host, boot.i_words)
        connect(m, player.o_request, rig.i_weights)
        connect(m, rig.o_weights, player.i_words)
        connect(m, player.o, flipped(self.o))
        m.d.comb += [self.state.eq(boot.state), player.i_play.eq(boot.state.loaded)]
        return m


def image_of(seed: int, bursts: int) -> WeightImage:
    return WeightImage(random.Random(seed).randbytes(BURST_BYTES * bursts))


def words_of(content: bytes) -> list[int]:
    return [int.from_bytes(content[at : at + 2], "little") for at in range(0, len(content), 2)]


@pytest.mark.parametrize(("bursts", "stall"), [(2, 0.0), (33, 0.0), (70, 0.4), (9, 0.95)])
def test_loaded_and_played_from_the_beginning(bursts: int, stall: float) -> None:
    image = image_of(bursts, bursts)
    dut = Booted(image)
    bench = Bench(dut, seed=bursts, watchdog=5_000)
    bench.drive(dut.i, image.content, stall=stall)
    played = bench.drain(dut.o, 20, stall=0.5)

    async def wait(ctx: Any) -> None:
        """The engine waits for an image for long; the chip's checker sees every refresh."""
        while not ctx.get(dut.state.loaded):
            assert not ctx.get(dut.state.failed)
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        for _ in range(3 * dut.rig.timing.interval):
            await ctx.tick()
        memory = dut.rig.chip.memory.data
        assert [ctx.get(memory[n]) for n in range(bursts * BURST)] == words_of(image.content)

    bench.testbench(wait)
    bench.run()
    assert played == (words_of(image.content)[: 2 * BURST] * 2)[:20]


def test_wrong_bytes_are_found_and_the_right_ones_loaded_after_them() -> None:
    image = image_of(1, 12)
    wrong = bytes([*image.content[:100], image.content[100] ^ 4, *image.content[101:]])
    dut = Booted(image)
    bench = Bench(dut, watchdog=5_000)
    bench.drive(dut.i, wrong + image.content, stall=0.1)
    told = []

    async def watch(ctx: Any) -> None:
        while not ctx.get(dut.state.loaded):
            if ctx.get(dut.state.failed):
                for _ in range(60):  # time for the host to ask
                    await ctx.tick()
                told.append(ctx.get(dut.state.crc))
            await ctx.tick()

    bench.testbench(watch)
    bench.run()
    assert told == [zlib.crc32(wrong)]


@pytest.mark.parametrize("delay", [LATE - 1, LATE + 1])
def test_words_that_come_at_another_time_are_found(delay: int) -> None:
    """As with a wrong phase of the chip's clock."""
    image = image_of(2, 5)
    dut = Booted(image, delay=delay)
    bench = Bench(dut, watchdog=5_000)
    bench.drive(dut.i, image.content)

    async def watch(ctx: Any) -> None:
        while not ctx.get(dut.state.failed):
            assert not ctx.get(dut.state.loaded)
            await ctx.tick()
        assert ctx.get(dut.state.crc) != image.crc

    bench.testbench(watch)
    bench.run()
