"""Data between the ports' FIFOs and the registers at the SDRAM's pins, in the cycles that the commands set."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD
from bnnhw.spec.sdram import BURST, SdramTiming


class WritePath(wiring.Component):
    """The 8 words of a write, one a cycle, into the pins' registers: the first beside the command.

    Members
    -------
    i_start, i_port: a write's command stands before the pins' registers, of this port; i_port stays for 8 cycles.
    i_words: the next word of each port. o_taken: it is taken. o, o_enable: to the registers of data and drivers.
    """

    def __init__(self, *, ports: int) -> None:
        self.ports = ports
        super().__init__(
            {
                "i_start": In(1),
                "i_port": In(range(max(ports, 2))),
                "i_words": In(data.ArrayLayout(WRITE_WORD, ports)),
                "o_taken": Out(ports),
                "o": Out(WRITE_WORD),
                "o_enable": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o_enable.eq(_eight(m, self.i_start))
        m.d.comb += self.o.eq(self.i_words[self.i_port])
        m.d.comb += [self.o_taken[port].eq(self.o_enable & (self.i_port == port)) for port in range(self.ports)]
        return m


class ReadPath(wiring.Component):
    """The 8 words of a read from the pins' input register to the port they belong to.

    Latency: 3 + cas + late cycles from i_start to the first word at o.

    Members
    -------
    i_start, i_port: a read's command stands before the pins' registers, of this port. i: data pins. o: a word;
    o_valid: of this port.
    """

    def __init__(self, *, timing: SdramTiming, ports: int, late: int) -> None:
        self.timing, self.ports, self.late = timing, ports, late
        super().__init__(
            {
                "i_start": In(1),
                "i_port": In(range(max(ports, 2))),
                "i": In(WORD),
                "o": Out(WORD),
                "o_valid": Out(ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        captured, word = Signal(WORD, reset_less=True), Signal(WORD, reset_less=True)
        m.d.sync += [captured.eq(self.i), word.eq(captured)]  # the first lies at the pins, the second with the ports
        m.d.comb += self.o.eq(word)
        start: Value = self.i_start
        port: Value = self.i_port
        for stage in range(self.timing.cas + self.late + 2):
            start_next, port_next = Signal(name=f"start_{stage}"), Signal(self.i_port.shape(), name=f"port_{stage}")
            m.d.sync += [start_next.eq(start), port_next.eq(port)]
            start, port = start_next, port_next
        # Ports are told apart before the last register, which lies with the port.
        for number in range(self.ports):
            m.d.sync += self.o_valid[number].eq(_eight(m, start & (port == number), f"words_{number}"))
        return m


def _eight(m: Module, start: Value, name: str = "words") -> Value:
    """High with ``start`` and in the 7 cycles after it."""
    left = Signal(BURST - 1, name=name)
    m.d.sync += left.eq(left >> 1)
    with m.If(start):
        m.d.sync += left.eq(-1)
    return start | left[0]
