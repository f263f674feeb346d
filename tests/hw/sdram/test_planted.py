"""A controller that takes one time a cycle too short breaks that rule, and the chip says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.sim.kit import Bench
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_75, W9825G6KH_6, SdramPart, SdramTiming
from tests.hw.sdram.rig import Rig, ask, at, small, write_words

SAME_BANK = 4 * 8
"""Bursts from a row of 64 words to the next of the same bank."""
ROWS = [ask(SAME_BANK * (n % 8)) for n in range(40)]
"""Each burst in another row of one bank."""
WRITES = [asked | {"write": 1} for asked in ROWS]
BANKS = [ask(8 * (n % 4) + SAME_BANK * (n // 4)) for n in range(12)]
"""Each burst in another bank."""

CASES: list[Any] = [  # rule, wrong time, part, clock, other times of both sides, requests
    pytest.param("RCD", {"rcd": -1}, MT48LC16M16A2_75, 133, {}, ROWS, id="rcd"),
    pytest.param("RP", {"rp": -1}, MT48LC16M16A2_75, 133, {}, ROWS, id="rp"),
    # Rows are opened 9, 23, 37 ... cycles after a refresh: here the next refresh closes the last one at once.
    pytest.param("RAS", {"ras": -1}, MT48LC16M16A2_75, 133, {"interval": 134}, ROWS, id="ras"),
    pytest.param("RAS", {"ras": -1}, W9825G6KH_6, 100, {"ras": 20}, ROWS, id="ras, long"),
    pytest.param("RC", {"rc": -1}, W9825G6KH_6, 100, {"rc": 30}, ROWS, id="rc"),
    pytest.param("RFC", {"rfc": -1}, W9825G6KH_6, 166, {}, ROWS[:1], id="rfc"),
    pytest.param("WR", {"wr": -1}, MT48LC16M16A2_75, 100, {}, WRITES[:9], id="wr"),
    pytest.param("MRD", {"mrd": -1}, MT48LC16M16A2_75, 100, {"mrd": 5}, ROWS[:1], id="mrd"),
    pytest.param("RRD", {"rrd": -1}, MT48LC16M16A2_75, 100, {"rrd": 15}, BANKS, id="rrd"),
    pytest.param("MODE", {"cas": -1}, MT48LC16M16A2_75, 133, {}, ROWS[:1], id="cas"),
    # Writes start 9, 22, 35 ... cycles after a refresh: here the last one postpones the next refresh to the utmost.
    pytest.param("REFRESH_LATE", {"interval": 1}, MT48LC16M16A2_75, 100, {"interval": 110}, WRITES, id="interval"),
    pytest.param("POWER_UP", {"power_up": -1}, MT48LC16M16A2_75, 100, {}, ROWS[:1], id="power_up"),
    pytest.param("INIT_REFRESH", {"init_refreshes": -1}, W9825G6KH_6, 100, {}, ROWS[:1], id="refreshes"),
    pytest.param(
        "TURNAROUND", {"turnaround": -1}, MT48LC16M16A2_75, 100, {}, [ask(0), ask(1, write=True)], id="turnaround"
    ),
]


def run(part: SdramPart, timing: SdramTiming, planted: SdramTiming | None, requests: list[dict[str, int]]) -> None:
    rig = Rig(part, timing, configs=(PortConfig("maps", writes=True),), planted=planted)
    bench = Bench(rig)
    bench.drive(rig.i_maps, requests)
    writes = sum(request["write"] for request in requests)
    if writes:
        bench.drive(rig.i_maps_words, write_words(range(writes * BURST)))
    if writes < len(requests):
        bench.drain(rig.o_maps, (len(requests) - writes) * BURST)

    async def till_idle(ctx: Any) -> None:
        quiet = 0
        while quiet < 40:
            await ctx.tick()
            quiet = 0 if ctx.get(rig.o_maps_busy) or not ctx.get(rig.o_started) else quiet + 1

    bench.testbench(till_idle)
    bench.run()


@pytest.mark.parametrize(("rule", "wrong", "part", "mhz", "both", "requests"), CASES)
def test_one_cycle_short_is_caught(
    rule: str, wrong: dict[str, int], part: SdramPart, mhz: int, both: dict[str, int], requests: list[dict[str, int]]
) -> None:
    part = small(part)
    timing = replace(at(part, mhz * 10**6), **both)
    run(part, timing, None, requests)  # with the right time it is silent
    planted = replace(timing)
    for name, change in wrong.items():  # a time of 0 cycles is refused elsewhere
        object.__setattr__(planted, name, getattr(timing, name) + change)
    with pytest.raises(AssertionError, match=rf"SDRAM: {rule} broken in cycle \d+, bank \d"):
        run(part, timing, planted, requests)


def test_every_time_is_planted() -> None:
    planted = {name for case in CASES for name in case.values[1]}
    assert planted == set(SdramTiming.__dataclass_fields__)
