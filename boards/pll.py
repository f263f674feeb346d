"""EHXPLLL of the ECP5: finds dividers for a wanted clock and instantiates them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.errors import BnnhwError

MHZ = 1_000_000
INPUT_RANGE = (8 * MHZ, 400 * MHZ)
DETECTOR_RANGE = (10 * MHZ, 400 * MHZ)
VCO_RANGE = (400 * MHZ, 800 * MHZ)
OUTPUT_RANGE = (Fraction(25, 8) * MHZ, 400 * MHZ)
MAX_DIVIDER = 128
"""Limits of data sheet FPGA-DS-02012, "sysCLOCK PLL Timing", in Hz."""


@dataclass(frozen=True)
class PllSettings:
    """Dividers of one EHXPLLL; the feedback runs over CLKOP, the design's clock is CLKOS.

    vco = input / input_div * feedback_div * feedback_out_div;  output = vco / output_div.  Exact, in Hz. With
    ``lead_ns`` CLKOS2 is a second output like it whose edges come so much earlier, to an eighth of a VCO period.
    """

    input_hz: Fraction
    input_div: int
    feedback_div: int
    feedback_out_div: int
    output_div: int
    lead_ns: Fraction | None = None

    @property
    def vco_hz(self) -> Fraction:
        return self.input_hz / self.input_div * self.feedback_div * self.feedback_out_div

    @property
    def output_hz(self) -> Fraction:
        return self.vco_hz / self.output_div

    @property
    def early(self) -> tuple[int, int]:
        """Phase of the second output against the first: VCO periods and eighths of one, later by a period less the
        lead."""
        lead = round((self.lead_ns or 0) * 8 * self.vco_hz / 10**9)
        return divmod(-lead % (8 * self.output_div), 8)


def solve(input_hz: Fraction, output_hz: Fraction, *, tolerance: float = 0.01) -> PllSettings:
    """The settings whose output is nearest to ``output_hz``; among equals the fastest phase detector, then fastest VCO.

    Raises BnnhwError when a frequency is out of the PLL's range or the best output is off by more than ``tolerance``
    (a fraction of ``output_hz``).
    """
    _check("PLL input", input_hz, INPUT_RANGE)
    _check("design clock", output_hz, OUTPUT_RANGE)
    best: tuple[Fraction, int, Fraction] | None = None
    settings: PllSettings | None = None
    for input_div in range(1, MAX_DIVIDER + 1):
        detector = input_hz / input_div
        if not DETECTOR_RANGE[0] <= detector <= DETECTOR_RANGE[1]:
            continue
        low, high = -(-VCO_RANGE[0] // detector), VCO_RANGE[1] // detector
        for multiple in range(int(low), int(high) + 1):
            split = _split(multiple)
            output_div = max(1, min(MAX_DIVIDER, round(detector * multiple / output_hz)))
            if split is None:
                continue
            trial = PllSettings(input_hz, input_div, *split, output_div)
            rank = (abs(trial.output_hz - output_hz), input_div, -trial.vco_hz)
            if best is None or rank < best:
                best, settings = rank, trial
    if settings is None or abs(settings.output_hz - output_hz) > output_hz * Fraction(tolerance):
        near = "no setting" if settings is None else f"{_mhz(settings.output_hz)} MHz"
        raise BnnhwError(
            f"design clock must be reachable within {tolerance:.1%} from {_mhz(input_hz)} MHz, "
            f"not {_mhz(output_hz)} MHz (nearest: {near})"
        )
    return settings


def _split(multiple: int) -> tuple[int, int] | None:
    """``multiple`` as (CLKFB divider, CLKOP divider), both within 128; the smallest CLKOP divider."""
    # CLKOP carries the feedback and must itself be a legal output of at most 400 MHz: never the VCO undivided.
    for out_div in range(2, MAX_DIVIDER + 1):
        if multiple % out_div == 0 and multiple // out_div <= MAX_DIVIDER:
            return multiple // out_div, out_div
    return None


def _check(what: str, hz: Fraction, limits: tuple[int | Fraction, int]) -> None:
    if not limits[0] <= hz <= limits[1]:
        raise BnnhwError(f"{what} must be between {_mhz(limits[0])} and {_mhz(limits[1])} MHz, not {_mhz(hz)} MHz")


def _mhz(hz: int | Fraction) -> str:
    return f"{float(hz) / MHZ:g}"


class Pll(wiring.Component):
    """Makes a clock of ``settings.output_hz`` from the one on ``clk_in``.

    Parameters
    ----------
    settings
        From `solve`.

    Members
    -------
    clk_in : In(1)
        The reference clock.
    clk : Out(1)
        The clock made of it.
    early : Out(1)
        The second output; only with ``settings.lead_ns``.
    locked : Out(1)
        ``clk`` is stable; not in step with it.
    """

    clk_in: Signal
    clk: Signal
    locked: Signal

    def __init__(self, settings: PllSettings) -> None:
        self.settings = settings
        early = {} if settings.lead_ns is None else {"early": Out(1)}
        super().__init__({"clk_in": In(1), "clk": Out(1), "locked": Out(1), **early})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = self.settings
        feedback = Signal()
        second = {} if s.lead_ns is None else self._second()
        m.submodules.pll = Instance(
            "EHXPLLL",
            # nextpnr computes the output's timing constraint from the dividers; the attributes only inform.
            a_FREQUENCY_PIN_CLKI=_mhz(s.input_hz),
            a_FREQUENCY_PIN_CLKOS=_mhz(s.output_hz),
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=s.input_div,
            p_CLKFB_DIV=s.feedback_div,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=s.feedback_out_div,
            # Phase settings put the first edge in the middle of the divider's period, as Lattice's generator does.
            p_CLKOP_CPHASE=s.feedback_out_div // 2,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=s.output_div,
            p_CLKOS_CPHASE=s.output_div // 2,
            p_CLKOS_FPHASE=0,
            i_CLKI=self.clk_in,
            i_CLKFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            i_ENCLKOS=Const(0),
            o_CLKOP=feedback,
            o_CLKOS=self.clk,
            o_LOCK=self.locked,
            **second,
        )
        return m

    def _second(self) -> dict[str, Any]:
        """Parameters and ports of CLKOS2."""
        s = self.settings
        later, eighths = s.early
        return {
            "a_FREQUENCY_PIN_CLKOS2": _mhz(s.output_hz),
            "p_CLKOS2_ENABLE": "ENABLED",
            "p_CLKOS2_DIV": s.output_div,
            "p_CLKOS2_CPHASE": s.output_div // 2 + later,
            "p_CLKOS2_FPHASE": eighths,
            "i_ENCLKOS2": Const(0),
            "o_CLKOS2": self.early,
        }
