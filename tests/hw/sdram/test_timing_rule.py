"""Every command comes in the cycle that the timing rule gives; what reads and writes in sequence cost."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.sim.kit import Bench
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_7E, MT48LC16M16A2_75, W9825G6KH_6, Command, SdramPart, SdramTiming
from tests.hw.sdram.rig import READER, Rig, ask, at, record, small, write_words
from tests.hw.sdram.rule import Access, Rule

ACCESS = (Command.READ, Command.WRITE)
CONFIGS = (PortConfig("maps", writes=True, read_words=512, write_words=512),)


def split(part: SdramPart, burst: int) -> tuple[int, int]:
    """Bank and row of a burst."""
    rest = burst // ((1 << part.column_bits) // BURST)
    return rest & 3, rest >> 2


def commands(
    part: SdramPart, timing: SdramTiming, asked: list[tuple[int, bool]]
) -> list[tuple[int, Command, int, int]]:
    """What the controller does for bursts (number, write) that are all at hand."""
    rig = Rig(part, timing, configs=CONFIGS)
    bench = Bench(rig)
    bench.drive(rig.i_maps, [ask(burst, write=write) for burst, write in asked])
    writes = sum(write for _, write in asked)
    if writes:
        bench.drive(rig.i_maps_words, write_words(range(BURST * writes)))
    if writes < len(asked):
        bench.drain(rig.o_maps, BURST * (len(asked) - writes))
    seen: list[Any] = record(bench, rig, lambda: accesses() >= len(asked))

    def accesses() -> int:
        return sum(command in ACCESS for _, command, _, _ in seen)

    bench.run()
    return seen


RANDOM = [  # part, MHz, interval (0: the part's)
    (MT48LC16M16A2_75, 100, 0),
    (MT48LC16M16A2_75, 133, 150),
    (MT48LC16M16A2_7E, 140, 180),
    (W9825G6KH_6, 25, 0),
    (W9825G6KH_6, 166, 211),
]


@pytest.mark.parametrize(("part", "mhz", "interval"), RANDOM)
def test_every_command_in_its_cycle(part: SdramPart, mhz: int, interval: int) -> None:
    part, rng = small(part), Random(mhz + interval)
    timing = at(part, mhz * 10**6, power_up=40)
    timing = replace(timing, interval=interval or timing.interval)
    asked = []
    for _ in range(25):  # stretches of one kind, so that rows stay open for some
        burst, write = rng.randrange(512), rng.random() < 0.4
        step = rng.choice((0, 1, 8, 32))
        asked += [((burst + n * step) % 512, write) for n in range(rng.choice((1, 2, 5)))]
    expected: list[Access] = [(*split(part, burst), write) for burst, write in asked]
    predicted = list(Rule(timing).commands(expected))
    seen = commands(part, timing, asked)
    banked = (Command.ACTIVATE, *ACCESS)
    whole = [
        (cycle, command, bank if command in banked or command == Command.PRECHARGE and not address >> 10 & 1 else None)
        for cycle, command, bank, address in seen
    ]
    assert whole == predicted


def test_sequential_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """8 rows of 512 words: nothing but the refreshes costs a cycle."""
    part = replace(small(), column_bits=9)
    timing = at(part)
    rig = Rig(part, timing, configs=READER, words=range(4096))
    bench = Bench(rig)
    bench.drive(rig.i_weights, [ask(0, 512)])
    taken = bench.drain(rig.o_weights, 4096)
    seen = record(bench, rig, lambda: len(taken) == 4096)
    bench.run()
    assert taken == list(range(4096))
    reads = [cycle for cycle, command, _, _ in seen if command == Command.READ]
    refreshes = sum(command == Command.REFRESH and reads[0] < cycle < reads[-1] for cycle, command, _, _ in seen)
    cycles = reads[-1] + BURST - reads[0]
    with capsys.disabled():
        print(f"\n4096 words in {cycles} cycles, {refreshes} refreshes: {4096 / cycles:.1%}", end=" ")
    assert rig.controller.refresh_cycles == 11
    assert (cycles, refreshes) == (4096 + 5 * 11, 5)
    assert 4096 / cycles > 0.9


SEQUENCES = [  # bursts as (number, write), cycles from the first access to the end of the last at 100 MHz
    ([(n, False) for n in range(40)], 320),
    ([(n, True) for n in range(40)], 320),
    ([(8 * n % 512, False) for n in range(40)], 320),  # each in another bank, later in another row of it
    ([(8 * n % 512, True) for n in range(40)], 320),
    ([(32 * n % 512, False) for n in range(40)], 8 + 39 * 12),  # always another row of the same bank: 8 + rp + rcd
    ([(32 * n % 512, True) for n in range(40)], 8 + 39 * 13),  # 7 + wr + rp + rcd
    ([(n, n % 2 == 1) for n in range(40)], 320 + 20 * 3),  # cas + turnaround for each write after a read
]


@pytest.mark.parametrize(("asked", "cycles"), SEQUENCES)
def test_costs(asked: list[tuple[int, bool]], cycles: int) -> None:
    part = small()
    seen = commands(part, at(part, power_up=40), asked)
    at_pins = [cycle for cycle, command, _, _ in seen if command in ACCESS]
    assert at_pins[-1] + BURST - at_pins[0] == cycles


@pytest.mark.parametrize(("words", "late", "cycles"), [(32, 0, 880), (32, 2, 880), (24, 0, 923)])
def test_fifo_of_reads_in_sequence(words: int, late: int, cycles: int) -> None:
    """Room for 32 words is enough for the longest way round, for 24 it is not."""
    part = small(W9825G6KH_6)
    configs = (PortConfig("weights", read_words=words),)
    rig = Rig(part, at(part, 166_000_000), configs=configs, late=late, delay=late)
    bench = Bench(rig)
    bench.drive(rig.i_weights, [ask(0, 110)])
    taken = bench.drain(rig.o_weights, 110 * BURST)
    seen: list[Any] = record(bench, rig, lambda: len(taken) == 110 * BURST)
    bench.run()
    reads = [cycle for cycle, command, _, _ in seen if command == Command.READ]
    assert reads[-1] + BURST - reads[0] == cycles


def test_latency_of_a_read() -> None:
    """From a request to its first word, in the words of the timing rule."""
    part = small()
    rig = Rig(part, at(part), configs=READER)
    bench = Bench(rig)
    cycle_of: dict[str, int] = {}
    bench.drain(rig.o_weights, BURST)
    seen = record(bench, rig, lambda: "word" in cycle_of)

    async def watch(ctx: Any) -> None:
        for _ in range(100):
            await ctx.tick()
        ctx.set(rig.i_weights.payload, ask(3))
        ctx.set(rig.i_weights.valid, 1)
        await ctx.tick()
        cycle_of["asked"] = 100
        ctx.set(rig.i_weights.valid, 0)
        cycle = 101
        while not ctx.get(rig.o_weights.valid):
            await ctx.tick()
            cycle += 1
        cycle_of["word"] = cycle

    bench.testbench(watch)
    bench.run()
    decided = {command: cycle - 2 for cycle, command, _, _ in seen}
    # offered in 2, with the scheduler in 3, taken over then, opened in 4, read rcd later
    assert decided[Command.ACTIVATE] == cycle_of["asked"] + 4
    assert decided[Command.READ] == cycle_of["asked"] + 4 + 2
    assert cycle_of["word"] == decided[Command.READ] + rig.controller.read_latency
