"""The front unit against NumPy: strides, pads, pools, channels that fill no group, stalls of image and memories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bnnhw.hw import multiplier
from bnnhw.hw.front import column
from bnnhw.hw.front.front import Front
from bnnhw.sim.golden.windows import convolve, window_max
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import FrontConfig, FrontImages, MapTarget
from bnnhw.spec.multiplier import blocks
from bnnhw.spec.network import Window, border_axis, border_map
from bnnhw.spec.numbers import IntArray

LANES = 2
WAIT = 10_000


@dataclass(frozen=True)
class Case:
    """A convolution of an image and its pool; ``outs`` channels by ``columns`` at once."""

    size: tuple[int, int, int]
    window: Window
    pool: Window = Window(1)
    outs: int = 4
    columns: int = 2
    weight_bits: int = 4


CASES = {
    "plain": Case((6, 5, 1), Window(3, 1, 1)),
    "colour": Case((5, 7, 3), Window(3, 1, 1), outs=6, columns=4),
    "stride": Case((9, 8, 2), Window(3, 2, 1), columns=4),
    "overlap": Case((17, 15, 3), Window(7, 2, 3), Window(3, 2, 1), outs=6, columns=4, weight_bits=8),
    "halves": Case((9, 9, 2), Window(3, 1, 1), Window(2, 2)),
    "point": Case((4, 4, 2), Window(1), columns=2),
}


def pooled_size(size: int, pool: Window) -> int:
    return (size + 2 * pool.pad - pool.kernel) // pool.stride + 1


def make(case: Case, rng: np.random.Generator) -> tuple[FrontConfig, FrontImages, dict[str, IntArray]]:
    """Configuration, memories, and the numbers behind them."""
    height, width, channels = case.size
    out = [(n + 2 * case.window.pad - case.window.kernel) // case.window.stride + 1 for n in (height, width)]
    axes = [border_axis(n, o, case.window) for n, o in zip((height, width), out, strict=True)]
    pooled = [pooled_size(n, case.pool) for n in out]
    top = (1 << case.weight_bits) - 1
    numbers = {
        "weight": 2 * rng.integers(0, top + 1, (case.outs, channels, case.window.kernel, case.window.kernel)) - top,
        "scale": rng.integers(-40, 40, case.outs),
        "offset": rng.integers(-(1 << 12), 1 << 12, (case.outs, axes[0].count * axes[1].count)),
        "threshold": rng.integers(-60, 60, case.outs),
    }
    strip = -(-pooled[1] // 3)
    cell = -(-case.outs // LANES)
    config = FrontConfig(
        height, width, channels, case.window, *out, outs=case.outs, lanes=LANES, columns=case.columns,
        weight_bits=case.weight_bits, acc_width=24, scale_width=7, offset_width=14, value_width=9, shift=9, low=-200,
        high=210, border_y=axes[0], border_x=axes[1], pool=case.pool, pool_height=pooled[0], pool_width=pooled[1],
        value=MapTarget(5, cell * pooled[1], cell, cell), bits=MapTarget(3, 40, 2, cell, strip, 1, 1, True),
    )  # fmt: skip
    groups = config.groups * case.columns
    padded = {name: np.zeros((groups, *array.shape[1:]), np.int64) for name, array in numbers.items()}
    for name, array in numbers.items():
        padded[name][: case.outs] = array
    words = []
    for group in range(config.groups):
        for dx in range(case.window.kernel):
            for channel in range(channels):
                for out_channel in range(group * case.columns, (group + 1) * case.columns):
                    codes = (padded["weight"][out_channel, channel, :, dx] + top) >> 1
                    words.append(sum(int(code) << case.weight_bits * dy for dy, code in enumerate(codes)))
    images = FrontImages(
        tuple(words),
        tuple(padded["scale"].tolist()),
        tuple(padded["offset"].reshape(-1).tolist()),
        tuple(padded["threshold"].tolist()),
    )
    return config, images, numbers


def expected(config: FrontConfig, numbers: dict[str, IntArray], image: IntArray) -> IntArray:
    """The pooled map (height, width, outs)."""
    x = convolve(image[None], numbers["weight"], config.window, (config.out_height, config.out_width), 255)
    border = border_map(config.border_y, config.border_x)
    y = (numbers["scale"] * x + numbers["offset"].T[border]) >> config.shift
    size = (config.pool_height, config.pool_width)
    return window_max(np.clip(y, config.low, config.high), config.pool, size)[0]


class Memories:
    """Takes what the unit writes, in the form of the memories."""

    def __init__(self, dut: Front) -> None:
        self.dut, self.values, self.bits, self.done = dut, {}, {}, 0

    def take(self, ctx: Any) -> None:
        writes = self.dut.o_writes
        if ctx.get(writes.value_valid):
            self.values[ctx.get(writes.value_address)] = ctx.get(writes.value_word)
        if ctx.get(writes.bits_valid):
            write = plain(ctx.get(writes.bits))
            self.bits[write["bank"], write["slots"], write["address"]] = write
        self.done += ctx.get(self.dut.o_done)

    def check(self, config: FrontConfig, numbers: dict[str, IntArray], wanted: IntArray) -> None:
        value, bits = config.value, config.bits
        assert value is not None
        assert bits is not None
        for (y, x, channel), pooled in np.ndenumerate(wanted):
            group, lane = divmod(channel, LANES)
            word = self.values[value.base + y * value.row + x * value.cell + group]
            assert word >> config.value_width * lane & 511 == pooled & 511, (y, x, channel)
            bank, column = divmod(x, bits.strip)
            address = bits.base + y * bits.row + (bits.halo_low + column) * bits.cell + group // 3
            write = self.bits[bank, 1 << group % 3, address]
            assert write["bits"] >> lane & 1 == (pooled >= numbers["threshold"][channel])
            assert write["column"] == column


def engine(engine_config: Callable[..., EngineConfig], post_config: Callable[..., Any], config: FrontConfig) -> Any:
    post = post_config(value_width=config.value_width)
    return engine_config(
        rows=3, cols=2, depth=6, lanes=LANES, front=config, post=post, bit_words=2000, value_words=2000, map_size=20
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_map(engine_config: Any, post_config: Any, name: str, stall: float) -> None:
    check_map(engine_config, post_config, name, stall)


def test_map_from_the_chips_multipliers(engine_config: Any, post_config: Any, chip_blocks: Any) -> None:
    made = chip_blocks(column, multiplier)
    check_map(engine_config, post_config, "overlap", 0.0)
    assert len(made) == 7 * CASES["overlap"].columns + blocks(24, 7)


def check_map(engine_config: Any, post_config: Any, name: str, stall: float) -> None:
    """Three images, with random stalls of their bytes and of the memories."""
    rng = np.random.default_rng(sum(name.encode()))
    config, images, numbers = make(CASES[name], rng)
    dut = Front(engine(engine_config, post_config, config), images)
    pictures = rng.integers(0, 256, (3, config.height, config.width, config.channels))
    memories = Memories(dut)

    async def host(ctx: Any) -> None:
        for number, picture in enumerate(pictures):
            ctx.set(dut.i_limit, config.pool_height)
            ctx.set(dut.i_start, number > 0)  # the first image needs none
            memories.done = 0
            while not memories.done:
                ctx.set(dut.i_go, int(rng.random() >= stall))
                if ctx.get(dut.i_go):
                    memories.take(ctx)
                await ctx.tick()
                ctx.set(dut.i_start, 0)
            memories.check(config, numbers, expected(config, numbers, picture))

    bench = Bench(dut, watchdog=100_000)
    bench.drive(dut.i_image, pictures.reshape(-1).tolist(), stall=stall)
    bench.testbench(host)
    bench.run()


def test_rows_wait_for_their_limit(engine_config: Any, post_config: Any) -> None:
    config, images, _ = make(CASES["overlap"], np.random.default_rng(1))
    dut = Front(engine(engine_config, post_config, config), images)
    memories, pixels = Memories(dut), [0] * (config.height * config.line_bytes)
    assert config.value is not None
    per_row = config.value.row

    async def host(ctx: Any) -> None:
        ctx.set(dut.i_go, 1)
        for limit in range(config.pool_height + 1):
            ctx.set(dut.i_limit, limit)
            for _ in range((4 + 2 * config.ahead) * config.row_steps):
                memories.take(ctx)
                await ctx.tick()
            assert len(memories.values) == limit * per_row
        assert memories.done == 1
        assert config.ahead > 0

    bench = Bench(dut, watchdog=100_000)
    bench.drive(dut.i_image, pixels)
    bench.testbench(host)
    bench.run()


@pytest.mark.parametrize("name", CASES)
def test_cycles(engine_config: Any, post_config: Any, name: str) -> None:
    """From the first row's start to the last vector, with the image and the memories at hand."""
    config, images, _ = make(CASES[name], np.random.default_rng(1))
    dut = Front(engine(engine_config, post_config, config), images)
    pixels = [0] * (2 * config.height * config.line_bytes)
    begins: list[int] = []
    ends: list[int] = []

    async def host(ctx: Any) -> None:
        ctx.set(dut.i_limit, config.pool_height)
        ctx.set(dut.i_go, 1)
        while len(ends) < 2:
            if ctx.get(dut.o_done):
                ends.append(bench.cycle)
            # the second image's pixels have long come when it begins
            ctx.set(dut.i_start, bench.cycle == 3 + WAIT)
            if bench.cycle == 3 + WAIT:
                begins.append(bench.cycle)
            await ctx.tick()

    bench = Bench(dut, watchdog=100_000)
    bench.drive(dut.i_image, pixels)
    bench.testbench(host)
    bench.run()
    assert ends[1] - begins[0] == config.cycles
