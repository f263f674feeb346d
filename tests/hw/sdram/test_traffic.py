"""All ports at once with random requests and stalls: every word against a list, the chip's checker silent."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from bnnhw.errors import BnnhwError
from bnnhw.hw.sdram.controller import check
from bnnhw.hw.sdram.layouts import PORTS, PortConfig
from bnnhw.hw.sdram.scheduler import refresh_period
from bnnhw.sim.kit import Bench
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_7E, MT48LC16M16A2_75, W9825G6KH_6, SdramPart, SdramTiming
from tests.hw.sdram.rig import CLOCK, Rig, ask, at, bursts_of, small, write_words

CASES = [  # part, clock, seed, stall of requests, words in, words out
    (MT48LC16M16A2_75, 100_000_000, 1, 0.0, 0.0, 0.0),
    (MT48LC16M16A2_75, 133_000_000, 2, 0.9, 0.3, 0.3),
    (MT48LC16M16A2_7E, 133_000_000, 3, 0.3, 0.5, 0.1),
    (W9825G6KH_6, 166_000_000, 4, 0.5, 0.1, 0.6),
    (W9825G6KH_6, 25_000_000, 5, 0.7, 0.1, 0.0),
]


def requests(rng: Random, first: int, bursts: int, total: int, *, writes: bool) -> list[tuple[int, int, bool]]:
    """Random (burst, bursts, write) within a region; mostly short, some long."""
    made = []
    while total > 0:
        count = min(total, rng.choice((1, 1, 2, 3, 9, 20)), bursts)
        made.append((first + rng.randrange(bursts - count + 1), count, writes and rng.random() < 0.5))
        total -= count
    return made


def play(bench: Bench, rig: Rig, name: str, asked: list, memory: list[int], rng: Random, stalls: tuple) -> tuple:
    """Drive one port; returns (words taken, words expected), and leaves ``memory`` as the port must."""
    expected, given = [], []
    for burst, count, write in asked:
        span = range(burst * BURST, (burst + count) * BURST)
        if not write:
            expected += [memory[word] for word in span]
            continue
        for word in span:
            value, enable = rng.getrandbits(16), rng.choice((0, 1, 2, 3, 3, 3))
            keep = sum(0xFF << 8 * byte for byte in range(2) if not enable >> byte & 1)
            memory[word] = memory[word] & keep | value & ~keep & 0xFFFF
            given.append((value, enable))
    bench.drive(getattr(rig, f"i_{name}"), [ask(b, n, write=w) for b, n, w in asked], stall=stalls[0])
    if given:
        words = write_words(*zip(*given, strict=True))
        bench.drive(getattr(rig, f"i_{name}_words"), words, stall=stalls[1])
    taken = bench.drain(getattr(rig, f"o_{name}"), len(expected), stall=stalls[2]) if expected else []
    return taken, expected


@pytest.mark.parametrize(("part", "clock", "seed", "asks", "ins", "outs"), CASES)
def test_every_word(part: SdramPart, clock: int, seed: int, asks: float, ins: float, outs: float) -> None:
    part, rng = small(part), Random(seed)
    memory = [rng.getrandbits(16) for _ in range(part.words)]
    rig = Rig(part, at(part, clock), words=memory)
    bench = Bench(rig, seed=seed, watchdog=3000)
    quarter = bursts_of(part) // 4
    regions = {"weights": (0, 2 * quarter), "params": (0, 2 * quarter), "maps": (2, 1), "host": (3, 1)}
    results = []
    for name, (first, size) in regions.items():
        writes = name in ("maps", "host")
        where = (first * quarter, quarter) if writes else (first, size)
        asked = requests(rng, *where, 25, writes=writes)
        if name == "host":  # reads all that the random requests wrote
            asked.append((first * quarter, 20, False))
        results.append(play(bench, rig, name, asked, memory, rng, (asks, ins, outs)))
    bench.run()
    for taken, expected in results:
        assert taken == expected


@pytest.mark.parametrize(("late", "delay"), [(1, 1), (2, 2), (0, 1), (1, 0)])
def test_late_data_are_taken_late(late: int, delay: int) -> None:
    """Right with as much delay at the pins as ``late`` says, and with no other."""
    part = small()
    words = [(i * 40503 + 7) & 0xFFFF for i in range(part.words)]
    rig = Rig(part, at(part), words=words, late=late, delay=delay)
    bench = Bench(rig)
    bench.drive(rig.i_weights, [ask(0, 3), ask(7)])
    taken = bench.drain(rig.o_weights, 4 * BURST)
    bench.run()
    assert (taken == words[: 3 * BURST] + words[7 * BURST : 8 * BURST]) == (late == delay)


def test_another_port_sees_what_was_written_once_not_busy() -> None:
    """The port of the highest priority reads what the last one wrote when that one's busy output has fallen."""
    part = small()
    rig = Rig(part, at(part), words=[1] * part.words)
    bench = Bench(rig)
    bench.drive(rig.i_host, [ask(5, 3, write=True)])
    bench.drive(rig.i_host_words, write_words(range(100, 124)), stall=0.5)
    taken = bench.drain(rig.o_weights, 24)

    async def read_later(ctx) -> None:
        for busy in (1, 0):
            while ctx.get(rig.o_host_busy) != busy:
                await ctx.tick()
        ctx.set(rig.i_weights.payload, ask(5, 3))
        ctx.set(rig.i_weights.valid, 1)
        while not (await ctx.tick().sample(rig.i_weights.ready))[2]:
            pass
        ctx.set(rig.i_weights.valid, 0)

    bench.testbench(read_later)
    bench.run()
    assert taken == list(range(100, 124))


def test_a_port_in_one_direction() -> None:
    """A port that only writes takes no notice of the request's ``write``, and so does one that only reads."""
    part = small()
    configs = (PortConfig("reader"), PortConfig("writer", reads=False, writes=True))
    rig = Rig(part, at(part), configs=configs)
    assert not hasattr(rig, "o_writer")
    assert not hasattr(rig, "i_reader_words")
    bench = Bench(rig)
    bench.drive(rig.i_writer, [ask(0, 2)])
    bench.drive(rig.i_writer_words, write_words(range(16)))
    taken = bench.drain(rig.o_reader, 16)
    bench.drive(rig.i_reader, [ask(0, 2, write=True)], start=200)
    bench.run()
    assert taken == list(range(16))


@pytest.mark.parametrize(
    ("configs", "late", "message"),
    [
        ((), 0, "SDRAM ports must be one or more of different names, not []"),
        (PORTS[:1] * 2, 0, "SDRAM ports must be one or more of different names, not ['weights', 'weights']"),
        (PORTS, -1, "SDRAM: late must be at least 0 cycles, not -1"),
    ],
)
def test_refused_controllers(configs: tuple, late: int, message: str) -> None:
    with pytest.raises(BnnhwError) as caught:
        check(configs, late)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval": 29}, "MT48LC16M16A2-75: refresh interval must be at least 30 cycles, not 29"),
        ({"power_up": 2}, "MT48LC16M16A2-75: power_up must be at least 3 cycles, not 2"),
    ],
)
def test_refused_timings(changes: dict, message: str) -> None:
    timing = replace(SdramTiming.of(MT48LC16M16A2_75, CLOCK), **changes)
    with pytest.raises(BnnhwError) as caught:
        refresh_period(MT48LC16M16A2_75, timing)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reads": False}, "SDRAM port x must read or write, not neither"),
        ({"read_words": 12}, "SDRAM port x: read_words must be a multiple of 8, not 12"),
        ({"writes": True, "write_words": 0}, "SDRAM port x: write_words must be a multiple of 8, not 0"),
    ],
)
def test_refused_ports(given: dict, message: str) -> None:
    with pytest.raises(BnnhwError) as caught:
        PortConfig("x", **given)
    assert str(caught.value) == message
