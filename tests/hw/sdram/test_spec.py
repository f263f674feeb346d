"""Times of the parts in cycles, worked out by hand from their data sheets, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from bnnhw.spec import sdram
from bnnhw.spec.sdram import MT48LC16M16A2_7E, MT48LC16M16A2_75, W9825G6KH_6, Least, SdramError, SdramPart, SdramTiming

HAND = [  # part, MHz: cas rcd rp ras rc rfc wr mrd rrd interval power_up init_refreshes
    (MT48LC16M16A2_75, 100, (2, 2, 2, 5, 7, 7, 2, 2, 2, 781, 10000, 2)),
    (MT48LC16M16A2_75, 133, (3, 3, 3, 6, 9, 9, 2, 2, 2, 1039, 13300, 2)),
    (MT48LC16M16A2_7E, 100, (2, 2, 2, 4, 6, 7, 2, 2, 2, 781, 10000, 2)),
    (MT48LC16M16A2_7E, 140, (3, 3, 3, 6, 9, 10, 2, 2, 2, 1093, 14000, 2)),
    (W9825G6KH_6, 100, (2, 2, 2, 5, 6, 6, 2, 2, 2, 781, 20000, 8)),
    (W9825G6KH_6, 166, (3, 3, 3, 7, 10, 10, 2, 2, 2, 1296, 33200, 8)),
    (W9825G6KH_6, 25, (2, 1, 1, 2, 2, 2, 2, 2, 2, 195, 5000, 8)),
]
NAMES = ("cas", "rcd", "rp", "ras", "rc", "rfc", "wr", "mrd", "rrd", "interval", "power_up", "init_refreshes")


@pytest.mark.parametrize(("part", "mhz", "cycles"), HAND)
def test_cycles(part: SdramPart, mhz: int, cycles: tuple[int, ...]) -> None:
    timing = SdramTiming.of(part, mhz * 10**6)
    assert {name: getattr(timing, name) for name in NAMES} == dict(zip(NAMES, cycles, strict=True))


def test_a_time_that_is_whole_cycles_takes_no_more() -> None:
    assert Least(Fraction(20)).cycles(Fraction(100_000_000)) == 2
    assert Least(Fraction(20)).cycles(Fraction(100_000_001)) == 3
    assert Least(Fraction(1), clocks=2).cycles(Fraction(100_000_000)) == 2


def test_cas_latency_changes_at_its_clock() -> None:
    assert SdramTiming.of(MT48LC16M16A2_75, 100_000_000).cas == 2
    assert SdramTiming.of(MT48LC16M16A2_75, 100_000_001).cas == 3


def test_geometry() -> None:
    assert MT48LC16M16A2_75.words == 16 * 2**20
    assert MT48LC16M16A2_75.burst_bits == 21
    assert sdram.mode_register(3) == 0x33
    assert sdram.get("W9825G6KH-6") is W9825G6KH_6


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            lambda: sdram.get("W9825"),
            "SDRAM part must be one of MT48LC16M16A2-75, MT48LC16M16A2-7E, W9825G6KH-6, not 'W9825'",
        ),
        (
            lambda: SdramTiming.of(MT48LC16M16A2_75, 134_000_000),
            "MT48LC16M16A2-75: clock must be at most 133.3 MHz, not 134.0 MHz",
        ),
        (lambda: SdramTiming.of(W9825G6KH_6, 0), "W9825G6KH-6: clock must be above 0 Hz, not 0"),
        (
            lambda: SdramTiming.of(W9825G6KH_6, 100),
            "W9825G6KH-6: clock must be fast enough for a refresh every 0 cycles, not 0.000 MHz",
        ),
        (lambda: replace(W9825G6KH_6, column_bits=11), "W9825G6KH-6: column_bits must be 4 to 10, not 11"),
        (lambda: replace(W9825G6KH_6, row_bits=14), "W9825G6KH-6: row_bits must be 1 to 13, not 14"),
        (lambda: replace(W9825G6KH_6, bank_bits=3), "W9825G6KH-6: bank_bits must be 1 or 2, not 3"),
        (
            lambda: replace(SdramTiming.of(W9825G6KH_6, 10**8), rcd=0),
            "SDRAM timing: rcd must be at least 1 cycle, not 0",
        ),
    ],
)
def test_refused(bad, message: str) -> None:
    with pytest.raises(SdramError) as caught:
        bad()
    assert str(caught.value) == message
