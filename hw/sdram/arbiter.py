"""Which port's burst is next: the first port that has one."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.sdram.layouts import access, granted
from bnnhw.spec.sdram import SdramPart


class Arbiter(wiring.Component):
    """Fixed priority, lowest number first, decided for each burst; a port that always has one starves those after it.

    Rate: a burst every 2 cycles. Latency: 1 cycle. One decided burst waits at ``o`` whatever comes after it.

    Members
    -------
    i: bursts of each port. o: a burst and its port.
    """

    def __init__(self, *, part: SdramPart, ports: int) -> None:
        self.part, self.ports = part, ports
        super().__init__(
            {
                "i": In(stream.Signature(access(part))).array(ports),
                "o": Out(stream.Signature(granted(part, ports))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~self.o.valid):
            for number, port in reversed(list(enumerate(self.i))):
                with m.If(port.valid):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.payload.access.eq(port.payload),
                        self.o.payload.port.eq(number),
                    ]
            free = ~self.o.valid
            for port in self.i:
                m.d.comb += port.ready.eq(free & port.valid)
                free = free & ~port.valid
        return m
