"""A design with SDRAM on the board: every pin a register in its cell, the chip's clock early by what the board says."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw import boards
from bnnhw.boards import pll
from bnnhw.boards.emit import for_board
from bnnhw.hw.sdram.layouts import Pins

MHZ = 1_000_000


class Design(wiring.Component):
    """Writes down what it reads."""

    def __init__(self, board):
        super().__init__(
            {"rx": In(1), "tx": Out(1, init=1), "sdram": Out(Pins(board.sdram[0]))} if board.sdram else {"rx": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        pins = self.sdram
        m.d.sync += [
            pins.o.eq(pins.i),
            pins.oe.eq(pins.i[0]),
            pins.cke.eq(1),
            pins.cs.eq(self.rx),
            pins.command.eq(pins.i[:3]),
            pins.bank.eq(pins.i[3:5]),
            pins.address.eq(pins.i),
            pins.mask.eq(pins.i[7:9]),
        ]
        return m


@pytest.fixture(scope="module")
def sources():
    board = boards.get("ulx3s")
    return for_board(Design(board), board, 100 * MHZ)


def test_registers_in_the_cells(sources):
    cells = {name: len(re.findall(rf"^ *cell \\{name} ", sources.rtlil, re.M)) for name in ("IFS1P3DX", "ODDRX1F")}
    assert cells == {"IFS1P3DX": 16, "ODDRX1F": 1}
    # 39 pins: 16 of data, 13 of addresses, 2 banks, 2 masks, 6 of control and clock; data pins have one for the driver.
    outputs = len(re.findall(r"^ *cell \\OFS1P3DX ", sources.rtlil, re.M))
    assert outputs >= 16 + 16 + 13 + 2 + 2 + 5
    for name in ("clk", "dq", "a", "ba", "dqm", "we", "ras", "cas", "cs", "clk_en"):
        assert f"sdram_0__{name}__io" in sources.lpf, name


def test_pll_of_a_board_with_sdram(sources):
    found = dict(re.findall(r"parameter (?:signed )?\\(CLKOS2?_\w+) (\S+)", sources.rtlil))
    assert found["CLKOS2_ENABLE"] == found["CLKOS_ENABLE"]
    assert int(found["CLKOS2_DIV"]) == int(found["CLKOS_DIV"])
    half = int(found["CLKOS_DIV"]) // 2
    assert int(found["CLKOS2_CPHASE"]) == int(found["CLKOS_CPHASE"]) + half  # 5 of 10 ns


@pytest.mark.parametrize("mhz", [25, 50, 64, 80, 100, 112, 125, 133])
def test_lead(mhz):
    """The second output's edge to the next one of the first: the lead, to an eighth of a VCO period."""
    lead = boards.get("ulx3s").sdram_lead_ns
    found = pll.PllSettings(**vars(pll.solve(Fraction(25 * MHZ), Fraction(mhz * MHZ))) | {"lead_ns": lead})
    later, eighths = found.early
    steps = 8 * later + eighths
    eighth = Fraction(10**9) / found.vco_hz / 8
    period = Fraction(10**9) / found.output_hz
    assert 0 < steps < 8 * found.output_div
    assert found.output_div // 2 + later < 128
    assert abs(period - steps * eighth - lead) <= eighth / 2


def test_registers_of_the_pins_are_part_of_the_setup():
    assert boards.get("ulx3s").sdram_setup(100 * MHZ).late == 2
