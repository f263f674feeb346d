"""The whole design behind a serial port: engine and host link."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.fifo import StreamBuffer, StreamFifo
from bnnhw.hw.link.host_link import HostLink
from bnnhw.hw.link.uart import UartReceiver, UartTransmitter, divisor
from bnnhw.spec.link import FIFO_BYTES, Identity


class Top(wiring.Component):
    """Engine and `HostLink` behind serial pins; clock domain "sync".

    Parameters
    ----------
    engine
        Component with ``i_image``, ``o_scores``, ``counters`` as `HostLink` wants them, ``i_weights`` and ``loading``
        where the identity has a weight image, and perhaps ``pins`` of an SDRAM.
    identity
        What the device answers to IDENTIFY; its clock is the one the rate is made from.
    baud
        Rate of the serial line.

    Members
    -------
    rx : In(1)
        Serial line from the host, synchronised to the clock.
    tx : Out(1)
    sdram : Out(Pins)
        The engine's, if it has them.

    Raises
    ------
    BnnhwError
        When the clock cannot make the rate.
    """

    rx: Signal
    tx: Signal

    def __init__(self, engine: wiring.Component, *, identity: Identity, baud: int = 3_000_000) -> None:
        self.engine = engine
        self.identity = identity
        self.baud = baud
        self.divisor = divisor(identity.clock_hz, baud)
        members = {"rx": In(1), "tx": Out(1, init=1)}
        if "pins" in engine.signature.members:
            members["sdram"] = engine.signature.members["pins"]
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.link = link = HostLink(identity=self.identity)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.submodules.rx_fifo = rx_fifo = StreamFifo(shape=8, depth=FIFO_BYTES)
        m.submodules.tx_fifo = tx_fifo = StreamFifo(shape=8, depth=FIFO_BYTES)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        connect(m, receiver.o, rx_fifo.i)
        connect(m, rx_fifo.o, link.i)
        m.submodules.tx_buffer = tx_buffer = StreamBuffer(shape=8)  # the sender does not see how full the FIFO is
        connect(m, link.o, tx_buffer.i)
        connect(m, tx_buffer.o, tx_fifo.i)
        connect(m, tx_fifo.o, transmitter.i)
        connect(m, link.o_image, engine.i_image)
        connect(m, engine.o_scores, link.i_scores)
        m.d.comb += link.counters.eq(engine.counters)
        if self.identity.weight_bytes:
            connect(m, link.o_weights, engine.i_weights)
            m.d.comb += link.weights.eq(engine.loading)
        if "sdram" in self.signature.members:
            connect(m, engine.pins, flipped(self.sdram))
        return m
