"""Radiona ULX3S: Lattice ECP5 with 25 MHz clock, FT231X serial port and 32 MB SDRAM; one entry per device size."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_12F_Platform, ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform

from bnnhw.boards.board import Board, Resources
from bnnhw.spec.sdram import MT48LC16M16A2_75, W9825G6KH_6

SDRAM = (MT48LC16M16A2_75, W9825G6KH_6)

# Data sheet FPGA-DS-02012, table 1.1. The 12F is the 25F's die with half of it promised: nextpnr would use all of it.
BOARDS = (
    Board(
        name="ulx3s",
        title="ULX3S with LFE5U-85F",
        platform=ULX3S_85F_Platform,
        device="85k",
        package="CABGA381",
        speed="6",
        resources=Resources(lut4=83640, ff=83640, bram=208, dsp=156),
        sdram=SDRAM,
    ),
    Board(
        name="ulx3s_45f",
        title="ULX3S with LFE5U-45F",
        platform=ULX3S_45F_Platform,
        device="45k",
        package="CABGA381",
        speed="6",
        resources=Resources(lut4=43848, ff=43848, bram=108, dsp=72),
        sdram=SDRAM,
    ),
    Board(
        name="ulx3s_25f",
        title="ULX3S with LFE5U-25F",
        platform=ULX3S_25F_Platform,
        device="25k",
        package="CABGA381",
        speed="6",
        resources=Resources(lut4=24288, ff=24288, bram=56, dsp=28),
        sdram=SDRAM,
    ),
    Board(
        name="ulx3s_12f",
        title="ULX3S with LFE5U-12F",
        platform=ULX3S_12F_Platform,
        device="12k",
        package="CABGA381",
        speed="6",
        resources=Resources(lut4=12144, ff=12144, bram=32, dsp=28),
        sdram=SDRAM,
    ),
)
