"""Priorities: the first port is served first, a stopped one stops no other."""

from __future__ import annotations

from typing import Any

import pytest

from bnnhw.hw.sdram.layouts import PORTS
from bnnhw.sim.kit import Bench
from bnnhw.spec.sdram import BURST, Command
from tests.hw.sdram.rig import Rig, ask, at, record, small

NAMES = [config.name for config in PORTS]


def served(seen: list[tuple[int, Command, int, int]]) -> list[int]:
    """The port of each read: port n reads in bank n only."""
    return [bank for _, command, bank, _ in seen if command == Command.READ]


def test_first_port_first() -> None:
    """All ports ask for 24 bursts of their bank at once: they get them one port after the other."""
    part = small()
    rig = Rig(part, at(part))
    bench = Bench(rig)
    for number, name in enumerate(NAMES):
        bench.drive(getattr(rig, f"i_{name}"), [ask(8 * number + 32 * row, 8) for row in range(3)])
        bench.drain(getattr(rig, f"o_{name}"), 24 * BURST)
    seen: list[Any] = record(bench, rig, lambda: len(served(seen)) == 96)
    bench.run()
    assert served(seen) == [0] * 24 + [1] * 24 + [2] * 24 + [3] * 24


@pytest.mark.parametrize("start", [200, 203, 207])
def test_a_port_waits_for_two_bursts_at_most(start: int) -> None:
    """The one that runs and the one that is decided; then the first port has the memory to itself."""
    part = small()
    rig = Rig(part, at(part))
    bench = Bench(rig)
    bench.drive(rig.i_host, [ask(24, 8)] * 4)
    bench.drain(rig.o_host, 32 * BURST)
    bench.drive(rig.i_weights, [ask(0, 5)], start=start)
    bench.drain(rig.o_weights, 5 * BURST)
    seen: list[Any] = record(bench, rig, lambda: len(served(seen)) == 37)
    bench.run()
    order = served(seen)
    first = order.index(0)
    assert order[first : first + 5] == [0] * 5
    asked = start + 2  # in these cycles the burst is offered
    assert (
        sum(cycle - 2 > asked for cycle, command, _, _ in seen[: seen_index(seen, first)] if command == Command.READ)
        <= 2
    )


def seen_index(seen: list[tuple[int, Command, int, int]], read: int) -> int:
    """Place of the ``read``-th read among all commands."""
    return [place for place, entry in enumerate(seen) if entry[1] == Command.READ][read]


def test_a_stopped_port_stops_no_other() -> None:
    """Nobody takes the first port's words: it is served what fits into its FIFO and no more."""
    part = small()
    rig = Rig(part, at(part))
    bench = Bench(rig)
    bench.drive(rig.i_weights, [ask(0, 8), ask(0, 8)])
    bench.drive(rig.i_params, [ask(8, 8)] * 3)
    bench.drain(rig.o_params, 24 * BURST, stall=0.2)
    seen: list[Any] = record(bench, rig, lambda: len(served(seen)) == 32)
    late: list[Any] = bench.drain(rig.o_weights, 16 * BURST, start=1000)
    bench.run()
    assert served(seen) == [0] * 8 + [1] * 24
    assert len(late) == 16 * BURST
