"""Registers that stay apart: copies of one value near their readers, which synthesis would merge into one."""

from __future__ import annotations

from amaranth import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeECP5Platform


class Copy(wiring.Component):
    """o = i, one cycle later; never merged with another register of the same value. No reset; starts at 0.

    Synthesis knows that registers with equal inputs are equal and keeps only one, whose fan-out then spans the chip.
    On an ECP5 platform the flip-flops are instances, which it leaves alone.

    Parameters
    ----------
    width
        Bits.
    """

    def __init__(self, width: int) -> None:
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if not isinstance(platform, LatticeECP5Platform):
            m.d.sync += self.o.eq(self.i)
            return m
        for k in range(len(self.i)):
            m.submodules[f"bit_{k}"] = Instance(
                "TRELLIS_FF",
                p_GSR="DISABLED",
                p_CEMUX="1",
                p_CLKMUX="CLK",
                p_LSRMUX="LSR",
                p_REGSET="RESET",
                i_CLK=ClockSignal(),
                i_LSR=0,
                i_DI=self.i[k],
                o_Q=self.o[k],
            )
        return m
