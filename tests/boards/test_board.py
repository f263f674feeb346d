"""The boards there are, and their clocks."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw import boards
from bnnhw.boards import pll
from bnnhw.errors import BnnhwError

MHZ = 1_000_000


def test_names():
    assert boards.names() == ["ulx3s", "ulx3s_45f", "ulx3s_25f", "ulx3s_12f"]


def test_unknown_board():
    with pytest.raises(BnnhwError) as caught:
        boards.get("ulx4s")
    assert str(caught.value) == "board must be one of ulx3s, ulx3s_45f, ulx3s_25f, ulx3s_12f, not 'ulx4s'"


@pytest.mark.parametrize("name", boards.names())
def test_board_matches_its_platform(name):
    board = boards.get(name)
    platform = board.platform()
    assert board.device == platform.device.removeprefix("LFE5U-").lower().replace("f", "k")
    assert board.speed == platform.speed
    assert platform.default_clk == board.clock_resource
    assert platform.default_clk_frequency == board.clock_hz
    assert board.resources.bram_bits == board.resources.bram * 18 * 1024


@pytest.mark.parametrize("mhz", ["3.125", "50", "100", "105", "112.5", "130", "200", "400"])
def test_pll_exact(mhz):
    assert pll.solve(Fraction(25 * MHZ), Fraction(mhz) * MHZ).output_hz == Fraction(mhz) * MHZ


@given(st.integers(10 * MHZ, 100 * MHZ), st.integers(25 * MHZ, 400 * MHZ))
def test_pll_settings_are_legal_and_near(input_hz, output_hz):
    s = pll.solve(Fraction(input_hz), Fraction(output_hz), tolerance=0.2)
    assert 400 * MHZ <= s.vco_hz <= 800 * MHZ
    assert s.input_hz / s.input_div >= 10 * MHZ
    assert s.vco_hz / s.feedback_out_div <= 400 * MHZ
    assert all(1 <= d <= 128 for d in (s.input_div, s.feedback_div, s.feedback_out_div, s.output_div))
    assert s.output_hz == s.vco_hz / s.output_div
    assert abs(s.output_hz - output_hz) <= Fraction(1, 5) * output_hz


@pytest.mark.parametrize(
    ("input_mhz", "output_mhz", "message"),
    [
        ("5", "100", "PLL input must be between 8 and 400 MHz, not 5 MHz"),
        ("25", "2", "design clock must be between 3.125 and 400 MHz, not 2 MHz"),
        ("25", "401", "design clock must be between 3.125 and 400 MHz, not 401 MHz"),
        ("25", "307", "design clock must be reachable within 0.1% from 25 MHz, not 307 MHz (nearest: 306.25 MHz)"),
    ],
)
def test_pll_errors(input_mhz, output_mhz, message):
    with pytest.raises(BnnhwError) as caught:
        pll.solve(Fraction(input_mhz) * MHZ, Fraction(output_mhz) * MHZ, tolerance=0.001)
    assert str(caught.value) == message
