"""The simulated chip by itself: every rule is seen to be broken, words and masks come in their cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from amaranth.sim import Simulator

from bnnhw.sim.sdram import Rule, SdramModel
from bnnhw.spec.sdram import ALL_BANKS, MT48LC16M16A2_75, Command, SdramTiming, mode_register
from tests.hw.sdram.rig import at, small

PART = small(MT48LC16M16A2_75)
TIMING = replace(at(PART, 133_000_000, power_up=5), interval=120)  # cas 3, rcd 3, rp 3, ras 6, rc 9, rfc 9, rrd 2
CHANGES = {"command", "bank", "address", "mask", "o", "oe", "cke", "cs"}
Step = dict[str, int]
Script = dict[int, Step]
"""What the pins are in a cycle; without an entry they are idle."""


def do(command: Command, bank: int = 0, address: int = 0, **more: int) -> Step:
    return {"command": int(command), "bank": bank, "address": address, **more}


START: Script = {
    **{cycle: {"mask": 3} for cycle in range(5)},
    5: do(Command.PRECHARGE, 0, ALL_BANKS),
    8: do(Command.REFRESH),
    17: do(Command.REFRESH),
    26: do(Command.MODE, 0, mode_register(3)),
    28: do(Command.ACTIVATE, 1, 7),
}
WRITE: Script = {31 + n: {"oe": 1, "o": 100 + n} for n in range(8)}
WRITE[31] |= do(Command.WRITE, 1, 16)
READ: Script = {31: do(Command.READ, 1, 16)}


def play(script: Script, cycles: int = 60, timing: SdramTiming = TIMING) -> tuple[tuple[Rule, int, int], list[int]]:
    """The first broken rule, its bank and cycle; the data pins' words in each cycle."""
    chip = SdramModel(part=PART, timing=timing, words=range(PART.words), stops=False)
    words = []

    async def process(ctx: Any) -> None:
        for cycle in range(cycles):
            values = dict.fromkeys(CHANGES, 0) | {"cke": 1, "cs": 1} | script.get(cycle, {})
            for name, value in values.items():
                ctx.set(getattr(chip.pins, name), value)
            words.append((await ctx.tick().sample(chip.pins.i))[2])
        await ctx.tick()
        found.append((Rule(ctx.get(chip.o_error)), ctx.get(chip.o_error_bank), ctx.get(chip.o_error_cycle)))

    found: list[tuple[Rule, int, int]] = []
    simulator = Simulator(chip)
    simulator.add_clock(1e-8)
    simulator.add_testbench(process)
    simulator.run()
    return found[0], words


def without(script: Script, *cycles: int) -> Script:
    return {cycle: step for cycle, step in script.items() if cycle not in cycles}


RIGHT: list[Any] = [
    pytest.param(START | WRITE | {40: do(Command.PRECHARGE, 1), 43: do(Command.ACTIVATE, 1, 3)}, id="write and close"),
    pytest.param(START | READ | {39: do(Command.READ, 1, 24), 47: do(Command.PRECHARGE, 0, ALL_BANKS)}, id="reads"),
    pytest.param(START | READ | {n + 12: step for n, step in WRITE.items()}, id="write after read"),
    pytest.param(START | WRITE | {39: do(Command.READ, 1, 16)}, id="read after write"),
    pytest.param(START | {30: do(Command.ACTIVATE, 2, 1), 34: do(Command.PRECHARGE, 1)}, id="two banks"),
    pytest.param(
        START | {34: do(Command.PRECHARGE, 1), 37: do(Command.REFRESH), 46: do(Command.REFRESH)}, id="refresh"
    ),
]


@pytest.mark.parametrize("script", RIGHT)
def test_silent(script: Script) -> None:
    assert play(script)[0][0] == Rule.NONE


W, R = WRITE, READ
BROKEN: list[tuple[Rule, int, int, Script]] = [  # rule, bank, cycle
    (Rule.POWER_UP, 0, 4, START | {4: do(Command.PRECHARGE, 0, ALL_BANKS, mask=3)}),
    (Rule.POWER_UP, 0, 3, without(START, 3)),
    (Rule.CKE, 0, 40, START | {40: {"cke": 0}}),
    (Rule.INIT_PRECHARGE, 0, 8, without(START, 5)),
    (Rule.INIT_PRECHARGE, 0, 8, START | {5: do(Command.PRECHARGE)}),
    (Rule.INIT_REFRESH, 1, 28, without(START, 8)),
    (Rule.INIT_MODE, 1, 28, without(START, 26)),
    (Rule.MODE, 0, 26, START | {26: do(Command.MODE, 0, mode_register(2))}),
    (Rule.MODE, 0, 26, START | {26: do(Command.MODE, 0, mode_register(3) - 1)}),
    (Rule.MODE, 0, 26, START | {26: do(Command.MODE, 0, mode_register(3) | 8)}),
    (Rule.MODE, 0, 26, START | {26: do(Command.MODE, 0, mode_register(3) | 1 << 9)}),
    (Rule.MODE, 1, 26, START | {26: do(Command.MODE, 1, mode_register(3))}),
    (Rule.COMMAND, 0, 40, START | {40: do(Command.TERMINATE)}),
    (Rule.COMMAND, 1, 31, START | {31: do(Command.READ, 1, ALL_BANKS)}),
    (Rule.NOT_IDLE, 1, 40, START | {40: do(Command.REFRESH)}),
    (Rule.NOT_IDLE, 1, 40, START | {40: do(Command.MODE, 0, mode_register(3))}),
    (Rule.ACTIVATE_OPEN, 1, 40, START | {40: do(Command.ACTIVATE, 1, 7)}),
    (Rule.ACCESS_CLOSED, 2, 31, START | {31: do(Command.READ, 2, 0)}),
    (Rule.RCD, 1, 30, START | {30: do(Command.READ, 1, 16)}),
    (Rule.RP, 1, 42, START | {40: do(Command.PRECHARGE, 1), 42: do(Command.ACTIVATE, 1, 0)}),
    (Rule.RP, 1, 42, START | {40: do(Command.PRECHARGE, 1), 42: do(Command.REFRESH)}),
    (Rule.RAS, 1, 33, START | {33: do(Command.PRECHARGE, 1)}),
    (Rule.RAS, 1, 33, START | {33: do(Command.PRECHARGE, 0, ALL_BANKS)}),
    (Rule.RFC, 0, 25, without(START, 26, 28) | {25: do(Command.MODE, 0, mode_register(3))}),
    (Rule.RFC, 0, 16, without(START, 17) | {16: do(Command.REFRESH)}),
    (Rule.WR, 1, 39, START | W | {39: do(Command.PRECHARGE, 1)}),
    (Rule.MRD, 1, 27, without(START, 28) | {27: do(Command.ACTIVATE, 1, 7)}),
    (Rule.RRD, 2, 29, START | {29: do(Command.ACTIVATE, 2, 7)}),
    (Rule.REFRESH_LATE, 0, 17 + 121, START),
    (Rule.BURST_CUT, 1, 38, START | R | {38: do(Command.PRECHARGE, 1)}),
    (Rule.BURST_CUT, 1, 38, START | R | {38: do(Command.READ, 1, 0)}),
    (Rule.CONTENTION, 1, 41, START | R | {n + 10: step for n, step in W.items()}),
    (Rule.TURNAROUND, 1, 42, START | R | {n + 11: step for n, step in W.items()}),
    (Rule.NOT_DRIVEN, 1, 38, START | without(W, 38)),
    (Rule.DRIVEN, 0, 45, START | {45: {"oe": 1}}),
    (Rule.READ_MASKED, 0, 34, START | R | {32: {"mask": 1}}),
]


@pytest.mark.parametrize(("rule", "bank", "cycle", "script"), BROKEN, ids=[str(case[:3]) for case in BROKEN])
def test_broken(rule: Rule, bank: int, cycle: int, script: Script) -> None:
    found, _ = play(script, max(cycle + 2, 46))
    assert found == (rule, bank, cycle)


def test_row_cycle() -> None:
    """With these parts ras + rp is rc; a longer rc is broken by what keeps both."""
    script = START | {34: do(Command.PRECHARGE, 1), 37: do(Command.ACTIVATE, 1, 0)}
    assert play(script, timing=replace(TIMING, rc=10))[0] == (Rule.RC, 1, 37)


def test_every_rule_is_broken_once() -> None:
    assert {case[0] for case in BROKEN} | {Rule.RC, Rule.NONE} == set(Rule)


def word(row: int, bank: int, column: int) -> int:
    return (row << 2 | bank) << 6 | column


def test_words_come_after_the_cas_latency() -> None:
    """And go round in their 8 columns; noise before and after."""
    _, words = play(START | {31: do(Command.READ, 1, 19)})
    assert words[34:42] == [word(7, 1, 16 + (3 + n) % 8) for n in range(8)]
    assert words[33] != word(7, 1, 18)
    assert words[42] not in (word(7, 1, 19), word(7, 1, 24))


def test_masked_bytes_are_not_written() -> None:
    """In the same cycle; two cycles later where they are read."""
    masked = {cycle: step | {"mask": cycle & 3} for cycle, step in WRITE.items()}
    script = START | masked | {39: do(Command.READ, 1, 16), 42: {"mask": 2}}
    found, words = play(script)
    for n, got in enumerate(words[42:50]):
        old, new, mask = word(7, 1, 16 + n), 100 + n, (31 + n) & 3
        expected = sum((old if mask >> byte & 1 else new) & 0xFF << 8 * byte for byte in range(2))
        if n == 2:
            assert (got & 0xFF, got >> 8 == expected >> 8) == (expected & 0xFF, False)
        else:
            assert got == expected
    assert found == (Rule.READ_MASKED, 0, 44)
