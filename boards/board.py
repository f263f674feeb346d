"""What the compiler and the flow need to know about a board: device, resources, clock input, host port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fractions import Fraction

from amaranth.vendor import LatticeECP5Platform

from bnnhw.errors import BnnhwError
from bnnhw.spec.sdram import SdramPart, SdramSetup, SdramTiming

PIN_REGISTERS = 2
"""Cycles that a word of the SDRAM comes later for the registers in the cells of the pins: one out, one in."""
BRAM_BITS = 18432
"""Bits of one ECP5 block RAM (sysMEM EBR), parity bits included."""


@dataclass(frozen=True)
class Resources:
    """Counts of a device's resources, or of what a design uses of them.

    lut4: 4-input LUTs; ff: flip-flops; bram: 18-kbit block RAMs; dsp: 18x18 multipliers.
    """

    lut4: int
    ff: int
    bram: int
    dsp: int

    @property
    def bram_bits(self) -> int:
        """All block RAM in bits, parity included; reached only by 9-, 18- and 36-bit words."""
        return self.bram * BRAM_BITS

    def items(self) -> Iterable[tuple[str, int]]:
        """(name, count) in report order."""
        return (("lut4", self.lut4), ("ff", self.ff), ("bram", self.bram), ("dsp", self.dsp))


@dataclass(frozen=True)
class Board:
    """A board: an amaranth-boards platform plus what that platform does not say.

    Parameters
    ----------
    name
        The name ``--board`` takes.
    title
        One line for people.
    platform
        Makes a fresh amaranth platform (each request for a pin uses one up).
    device, package, speed
        As nextpnr wants them: ``--85k``, ``CABGA381``, ``6``.
    resources
        What the device's data sheet promises; the flow refuses designs above it even where the die has more.
    clock_resource, clock_hz
        The clock input that feeds the PLL and its exact frequency.
    uart_resource
        The serial port to the host.
    max_baud
        The fastest rate the board's serial bridge does.
    max_clock_hz
        The fastest design clock ``auto`` may ask for.
    sdram
        Parts of the SDRAM that copies of the board come with; the slowest times of all are kept.
    sdram_resource
        Its pins.
    sdram_lead_ns
        So much earlier than each edge of the design's clock comes one of the SDRAM's: see docs/sdram.md.
    """

    name: str
    title: str
    platform: Callable[[], LatticeECP5Platform]
    device: str
    package: str
    speed: str
    resources: Resources
    clock_resource: str = "clk25"
    clock_hz: Fraction = Fraction(25_000_000)
    uart_resource: str = "uart"
    max_baud: int = 3_000_000
    max_clock_hz: Fraction = Fraction(200_000_000)
    sdram: tuple[SdramPart, ...] = ()
    sdram_resource: str = "sdram"
    sdram_lead_ns: Fraction = Fraction(5)

    def sdram_setup(self, clock_hz: Fraction | int) -> SdramSetup | None:
        """The SDRAM at a clock; None where there is none. Raises SdramError for a clock that it cannot have."""
        if not self.sdram:
            return None
        timings = [SdramTiming.of(part, clock_hz) for part in self.sdram]
        least = {field.name: min(getattr(t, field.name) for t in timings) for field in fields(SdramTiming)}
        most = {field.name: max(getattr(t, field.name) for t in timings) for field in fields(SdramTiming)}
        return SdramSetup(self.sdram[0], SdramTiming(**most | {"interval": least["interval"]}), late=PIN_REGISTERS)


def _boards() -> dict[str, Board]:
    from bnnhw.boards.ulx3s import BOARDS

    return {board.name: board for board in BOARDS}


def names() -> list[str]:
    """Names of all boards, in the order of their definition."""
    return list(_boards())


def get(name: str) -> Board:
    """The board called ``name``.

    Raises BnnhwError when there is none, with the names that exist.
    """
    board = _boards().get(name)
    if board is None:
        raise BnnhwError(f"board must be one of {', '.join(names())}, not {name!r}")
    return board
