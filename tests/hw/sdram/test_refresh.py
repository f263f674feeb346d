"""Refresh: never later than the interval, whatever the traffic, and as rare as that allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bnnhw.sim.kit import Bench
from bnnhw.spec.sdram import BURST, W9825G6KH_6, Command
from tests.hw.sdram.rig import BOTH, Rig, ask, at, record, small, write_words


def gaps(interval: int, *, writes: int, power_up: int = 40) -> list[int]:
    """Cycles between refreshes while bursts to always another row of one bank are written."""
    part = small()
    rig = Rig(part, replace(at(part, power_up=power_up), interval=interval), configs=BOTH)
    bench = Bench(rig)
    if writes:
        bench.drive(rig.i_maps, [ask(32 * n % 512, write=True) for n in range(writes)])
        bench.drive(rig.i_maps_words, write_words(range(BURST * writes)))
    seen: list[Any] = record(bench, rig, lambda: len(seen) > 7 and seen[-1][0] > 5 * interval)
    bench.run()
    refreshes = [cycle for cycle, command, _, _ in seen if command == Command.REFRESH]
    return [later - earlier for earlier, later in zip(refreshes[1:], refreshes[2:], strict=False)]


@pytest.mark.parametrize("interval", [104, 107, 111, 114])
def test_never_late_under_the_worst_traffic(interval: int) -> None:
    found = gaps(interval, writes=60)
    assert len(found) >= 4
    # Between the last command and the refresh there is at most what the timer allows for.
    assert max(found) <= interval
    assert min(found) >= interval - at(small()).postponed
    if interval == 111:  # a write starts in the last cycle before the refresh is due: 9 + 13 n cycles after the last
        assert set(found[1:]) == {interval}


def test_idle_refreshes() -> None:
    """Without traffic a refresh comes as soon as it is due and all banks are told to close."""
    timing = at(small())
    assert set(gaps(150, writes=0)) == {150 - timing.postponed + 1 + timing.rp}


@pytest.mark.parametrize("part", [small(), small(W9825G6KH_6)])
def test_start_up(part: Any) -> None:
    """Wait, close all, refreshes, mode register, first activate: each in the first cycle allowed."""
    rig = Rig(part, at(part, power_up=50))
    bench = Bench(rig)
    bench.drive(rig.i_host, [ask(0)])
    bench.drain(rig.o_host, BURST)
    seen: list[Any] = record(bench, rig, lambda: bool(seen) and seen[-1][1] == Command.READ)
    bench.run()
    t, count = rig.timing, part.init_refreshes
    refreshes = [(50 + t.rp + n * t.rfc, Command.REFRESH) for n in range(count)]
    mode = 50 + t.rp + count * t.rfc
    expected = [(50, Command.PRECHARGE), *refreshes, (mode, Command.MODE), (mode + t.mrd, Command.ACTIVATE)]
    assert [(cycle, command) for cycle, command, _, _ in seen][:-1] == expected
