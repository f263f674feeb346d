"""How long a burst that was granted may take until it is written."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from bnnhw.compiler.stream_clock import Controller
from bnnhw.spec.sdram import BURST, PARTS, SdramPart, SdramSetup, SdramTiming
from bnnhw.spec.spill import SETTLED, written


class Restless:
    """Asks for random bursts at random times; knows how long each took."""

    def __init__(self, rng: Random, bursts: int, writes: bool) -> None:
        self.rng, self.bursts, self.writes = rng, bursts, writes
        self.at, self.longest = 0, 0

    def offer(self) -> int:
        return self.at

    def next_burst(self) -> int:
        return self.rng.randrange(self.bursts)

    def grant(self, cycle: int, access: int) -> None:
        self.longest = max(self.longest, access + BURST - cycle)
        self.at = cycle + self.rng.choice((2, 2, 3, 9, 40, 200))

    def state(self, now: int) -> tuple[object, ...]:
        return ()


def clocks(part: SdramPart) -> list[Fraction]:
    """Up to the fastest."""
    return [*(Fraction(mhz) * 1_000_000 for mhz in (10, 25, 50, 75, 100, 125)), Fraction(10**9) / part.period_ns[1]]


@pytest.mark.parametrize("name", PARTS)
def test_granted_bursts_are_written_in_time(name: str) -> None:
    part, longest = PARTS[name], 0
    for clock_hz in clocks(part):
        timing = SdramTiming.of(part, clock_hz)
        assert written(timing) <= SETTLED
        rng, most = Random(1), part.words // BURST
        reads, writes = Restless(rng, most, False), Restless(rng, most, True)
        controller = Controller(SdramSetup(part, timing), (reads, writes))
        for _ in range(20_000):
            controller.step()
        assert writes.longest <= written(timing)
        longest = max(longest, writes.longest)
    assert longest > SETTLED // 2
