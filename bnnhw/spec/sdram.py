"""SDR SDRAM: parts with the times of their data sheets, the same times in cycles of a clock, commands, addresses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from fractions import Fraction
from math import ceil

BURST = 8
"""Words of every read and write: as long as closing and opening another bank's row takes, which so costs nothing."""
BURST_BITS = (BURST - 1).bit_length()
"""Of a word's number in its burst."""
READ_WORDS = 64
"""Words of the FIFO of a port that reads."""
WRITE_WORDS = 32
"""Words of the FIFO of a port that writes."""
ALL_BANKS = 1 << 10
"""Address bit that makes a precharge one of all banks (and would add an auto precharge to a read or write)."""


class SdramError(ValueError):
    """A part, clock or time that cannot be; one line, for the user as it is."""


class Command(IntEnum):
    """Commands as their three pins, active high: ras << 2 | cas << 1 | we."""

    NOP = 0b000
    TERMINATE = 0b001
    """Ends a burst; never used."""
    READ = 0b010
    WRITE = 0b011
    ACTIVATE = 0b100
    """Opens a row of a bank."""
    PRECHARGE = 0b101
    """Closes a bank, or all."""
    REFRESH = 0b110
    MODE = 0b111
    """Sets the mode register."""


@dataclass(frozen=True)
class Least:
    """A shortest time: so many ns and so many clock periods, whichever is longer."""

    ns: Fraction = Fraction(0)
    clocks: int = 1

    def cycles(self, clock_hz: Fraction) -> int:
        """Whole cycles of a clock that are not shorter."""
        return max(self.clocks, ceil(self.ns * clock_hz / 10**9))


def _ns(text: str) -> Least:
    return Least(Fraction(text))


@dataclass(frozen=True)
class SdramPart:
    """A part: 2**bank_bits banks of 2**row_bits rows of 2**column_bits words of 16 bits, and its times.

    Word addresses count columns first, then banks, then rows: what follows the last word of a row is in another bank.

    period_ns: shortest clock period for CAS latency 2 and 3. rcd: activate to read or write. rp: precharge to activate
    or refresh. ras: activate to precharge. rc: activate to activate of the same bank, or to refresh. rfc: refresh to
    activate or refresh. wr: last word written to precharge. mrd: mode register to any command. rrd: activate to
    activate of another bank. refresh_ms: all 2**row_bits rows are refreshed in this time. power_up_us: from power to
    the first command. init_refreshes: before the first activate.
    """

    name: str
    source: str
    period_ns: tuple[Fraction, Fraction]
    rcd: Least
    rp: Least
    ras: Least
    rc: Least
    rfc: Least
    wr: Least
    mrd: Least
    rrd: Least
    power_up_us: int
    init_refreshes: int
    refresh_ms: Fraction = Fraction(64)
    bank_bits: int = 2
    row_bits: int = 13
    column_bits: int = 9

    def __post_init__(self) -> None:
        if not 4 <= self.column_bits <= 10:
            raise SdramError(f"{self.name}: column_bits must be 4 to 10, not {self.column_bits}")
        if not 1 <= self.row_bits <= 13:
            raise SdramError(f"{self.name}: row_bits must be 1 to 13, not {self.row_bits}")
        if not 1 <= self.bank_bits <= 2:
            raise SdramError(f"{self.name}: bank_bits must be 1 or 2, not {self.bank_bits}")

    @property
    def words(self) -> int:
        return 1 << (self.row_bits + self.bank_bits + self.column_bits)

    @property
    def burst_bits(self) -> int:
        """Bits of the number of a burst: a word address without its lowest bits, those of the word in its burst."""
        return (self.words // BURST - 1).bit_length()


MT48LC16M16A2_75 = SdramPart(
    name="MT48LC16M16A2-75",
    source="Micron, 256Mb: x4, x8, x16 SDRAM data sheet, AC operating conditions, speed grade -75",
    period_ns=(Fraction(10), Fraction("7.5")),
    rcd=_ns("20"),
    rp=_ns("20"),
    ras=_ns("44"),
    rc=_ns("66"),
    rfc=_ns("66"),
    wr=_ns("15"),
    mrd=Least(clocks=2),
    rrd=_ns("15"),
    power_up_us=100,
    init_refreshes=2,
)

MT48LC16M16A2_7E = SdramPart(
    name="MT48LC16M16A2-7E",
    source="Micron, 256Mb: x4, x8, x16 SDRAM data sheet, AC operating conditions, speed grade -7E",
    period_ns=(Fraction("7.5"), Fraction(7)),
    rcd=_ns("15"),
    rp=_ns("15"),
    ras=_ns("37"),
    rc=_ns("60"),
    rfc=_ns("66"),
    wr=_ns("14"),
    mrd=Least(clocks=2),
    rrd=_ns("14"),
    power_up_us=100,
    init_refreshes=2,
)

W9825G6KH_6 = SdramPart(
    name="W9825G6KH-6",
    source="Winbond, W9825G6KH data sheet, AC characteristics, speed grade -6",
    period_ns=(Fraction("7.5"), Fraction(6)),
    rcd=_ns("15"),
    rp=_ns("15"),
    ras=_ns("42"),
    rc=_ns("60"),
    rfc=_ns("60"),
    wr=Least(clocks=2),
    mrd=Least(clocks=2),
    rrd=Least(clocks=2),
    power_up_us=200,
    init_refreshes=8,
)

PARTS = {part.name: part for part in (MT48LC16M16A2_75, MT48LC16M16A2_7E, W9825G6KH_6)}
"""By name."""


def get(name: str) -> SdramPart:
    """The part called ``name``; raises SdramError with the names that exist."""
    if name not in PARTS:
        raise SdramError(f"SDRAM part must be one of {', '.join(PARTS)}, not {name!r}")
    return PARTS[name]


@dataclass(frozen=True)
class SdramTiming:
    """Times of a part in cycles of one clock; names as in `SdramPart`.

    cas: CAS latency, 2 where the clock allows it. interval: longest time between two refreshes. power_up: cycles
    without a command after reset. turnaround: cycles in which nobody drives the data pins between read and write data.
    """

    cas: int
    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    wr: int
    mrd: int
    rrd: int
    interval: int
    power_up: int
    init_refreshes: int
    turnaround: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise SdramError(f"SDRAM timing: {field.name} must be at least 1 cycle, not {value}")

    @classmethod
    def of(cls, part: SdramPart, clock_hz: Fraction | int) -> SdramTiming:
        """Cycles of ``part`` at a clock. Raises SdramError when the part cannot be clocked so fast, or refreshed."""
        hz = Fraction(clock_hz)
        if hz <= 0:
            raise SdramError(f"{part.name}: clock must be above 0 Hz, not {clock_hz}")
        if (period := Fraction(10**9) / hz) < part.period_ns[1]:
            most = float(1000 / part.period_ns[1])
            raise SdramError(f"{part.name}: clock must be at most {most:.1f} MHz, not {float(hz) / 1e6:.1f} MHz")
        names = ("rcd", "rp", "ras", "rc", "rfc", "wr", "mrd", "rrd")
        least = {name: getattr(part, name).cycles(hz) for name in names}
        interval = int(part.refresh_ms * hz / 1000 / 2**part.row_bits)
        # Half of the time at most may go into refreshing: anything slower is a slip in the unit of the clock.
        if interval < 2 * (least["rp"] + least["rfc"] + least["rcd"] + BURST):
            raise SdramError(
                f"{part.name}: clock must be fast enough for a refresh every {interval} cycles, "
                f"not {float(hz) / 1e6:.3f} MHz"
            )
        return cls(
            cas=2 if period >= part.period_ns[0] else 3,
            interval=interval,
            power_up=ceil(part.power_up_us * hz / 10**6),
            init_refreshes=part.init_refreshes,
            **least,
        )

    @property
    def postponed(self) -> int:
        """Cycles from the last command before a refresh is due to that refresh, at most: what runs ends, all closes."""
        return max(max(self.ras, BURST, BURST - 1 + self.wr) + self.rp, self.rc)

    @property
    def refresh_period(self) -> int:
        """Cycles of the refresh timer: so many and two after a refresh the next is due."""
        return self.interval - 1 - self.postponed


@dataclass(frozen=True)
class SdramSetup:
    """The SDRAM of an engine. ``late``: cycles by which read data reaches the controller later than the data sheet
    says."""

    part: SdramPart
    timing: SdramTiming
    late: int = 0

    @property
    def read_latency(self) -> int:
        """Cycles from the decision to read to the first word at an empty port's output."""
        return 4 + self.timing.cas + self.late + 3


def mode_register(cas: int) -> int:
    """Its contents: sequential bursts of `BURST` words for reads and writes, CAS latency ``cas``."""
    return cas << 4 | (BURST.bit_length() - 1)
