"""Puts a design on a board: clock from the board's oscillator through the PLL, serial port and SDRAM to the pins."""

from __future__ import annotations

from amaranth.build.plat import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer

from bnnhw.boards.board import Board
from bnnhw.boards.pll import Pll, PllSettings
from bnnhw.boards.sdram_pins import EARLY, SdramPins


def has_sdram(top: Elaboratable) -> bool:
    """Whether a design wants the board's SDRAM."""
    return isinstance(top, wiring.Component) and "sdram" in top.signature.members


class BoardTop(Elaboratable):
    """``top`` (ports ``rx: In(1)``, ``tx: Out(1)``, perhaps ``sdram``, clock domain "sync") on a board's pins.

    There is no reset: every register starts as the bitstream says, and its clock runs only when the PLL is stable.
    A reset line to all of them would be a tenth of the routing.

    Parameters
    ----------
    top
        The design; ``rx`` is synchronised to its clock here.
    board
        The board.
    settings
        Of the PLL; from `bnnhw.boards.pll.solve`.
    """

    def __init__(self, top: Elaboratable, board: Board, settings: PllSettings) -> None:
        self.top = top
        self.board = board
        self.settings = settings

    def elaborate(self, platform: Platform) -> Module:
        m = Module()
        clock = platform.request(self.board.clock_resource, dir="-")
        m.submodules.clock_buffer = clock_buffer = io.Buffer("i", clock)
        m.submodules.pll = pll = Pll(self.settings)
        m.domains.reference = ClockDomain("reference", reset_less=True)
        m.domains.sync = ClockDomain("sync", reset_less=True)
        stable = Signal()
        m.d.comb += [pll.clk_in.eq(clock_buffer.i), ClockSignal("reference").eq(clock_buffer.i)]
        m.submodules.stable = FFSynchronizer(pll.locked, stable, o_domain="reference")
        m.submodules.gate = Instance("DCCA", i_CLKI=pll.clk, i_CE=stable, o_CLKO=ClockSignal("sync"))
        if has_sdram(self.top):
            m.domains += ClockDomain(EARLY, reset_less=True)
            m.submodules.early = Instance("DCCA", i_CLKI=pll.early, i_CE=stable, o_CLKO=ClockSignal(EARLY))
            m.submodules.sdram = SdramPins(self.top.sdram, self.board.sdram_resource)

        uart = platform.request(self.board.uart_resource, dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        m.submodules.rx_buffer = rx = io.Buffer("i", uart.rx)
        m.submodules.tx_buffer = tx = io.Buffer("o", uart.tx)
        m.submodules.top = self.top
        m.submodules.rx_sync = FFSynchronizer(rx.i, self.top.rx, init=1)
        m.d.comb += tx.o.eq(self.top.tx)
        return m
