"""The SDRAM's pins on an ECP5: registers in the cells of all, and the chip's clock out of a DDR cell."""

from __future__ import annotations

from amaranth.build.plat import Platform
from amaranth.hdl import Const, Elaboratable, Module
from amaranth.lib import io, wiring

SIGNALS = ("clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm")
"""Of an amaranth-boards SDRAM resource; those with an active-low pin are inverted there."""
EARLY = "early"
"""Clock domain of the chip's clock."""


class SdramPins(Elaboratable):
    """Connects ``pins`` (`bnnhw.hw.sdram.layouts.Pins`, seen from the controller) to a board's resource.

    Every signal goes through one more register, in its pin's cell, so that all change and are sampled at the same time
    whatever was routed where. Words read come 2 cycles later for it: `bnnhw.boards.board.PIN_REGISTERS`. The chip's
    clock leaves through the same kind of cell, clocked by the domain ``early``.

    Parameters
    ----------
    pins
        Of the design.
    resource
        Name of the board's SDRAM.
    """

    def __init__(self, pins: wiring.PureInterface, resource: str) -> None:
        self.pins, self.resource = pins, resource

    def elaborate(self, platform: Platform) -> Module:
        m = Module()
        ports = platform.request(self.resource, dir=dict.fromkeys(SIGNALS, "-"))
        pins = self.pins
        outputs = {
            "clk_en": pins.cke,
            "cs": pins.cs,
            "we": pins.command[0],
            "cas": pins.command[1],
            "ras": pins.command[2],
            "ba": pins.bank,
            "a": pins.address,
            "dqm": pins.mask,
        }
        for name, value in outputs.items():
            m.submodules[name] = cell = io.FFBuffer("o", getattr(ports, name))
            m.d.comb += cell.o.eq(value)
        m.submodules.dq = dq = io.FFBuffer("io", ports.dq)
        m.d.comb += [dq.o.eq(pins.o), dq.oe.eq(pins.oe), pins.i.eq(dq.i)]
        m.submodules.clk = clk = io.DDRBuffer("o", ports.clk, o_domain=EARLY)
        m.d.comb += [clk.o[0].eq(Const(1)), clk.o[1].eq(Const(0))]
        return m


__all__ = ["EARLY", "SdramPins"]
