"""Sends frames: appends the CRC, encodes with COBS, closes with 0."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from bnnhw.spec.link import CRC_BYTES, SENDER_BYTES

BODY = data.StructLayout({"byte": 8, "last": 1})


class FrameSender(wiring.Component):
    """Turns bodies of at most 250 bytes into frames on the wire; see `bnnhw.spec.link`.

    COBS puts the length of a run before the run, so a frame is collected in a buffer first: each content byte goes one
    place further, and when a 0 (or the end) closes a run, its length is written where the run began instead.

    Rate: 1 clock a body byte, then 3 clocks a wire byte. Back-pressure: no body byte is taken while a frame is sent.

    Members
    -------
    i : In(stream of BODY)
    o : Out(stream of 8 bits)
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(BODY)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.buffer = buffer = Memory(shape=8, depth=SENDER_BYTES, init=[])
        read, write = buffer.read_port(), buffer.write_port()
        start, place = Signal(8), Signal(8, init=1)  # where the open run began; where the next byte goes
        put, byte = Signal(), Signal(8)
        crc_left = Signal(range(CRC_BYTES))
        trailer = Signal(8 * CRC_BYTES)
        position, coded = Signal(8), Signal(8)
        closes = Signal()  # the byte is a 0, or there is none: a run ends
        m.d.comb += [
            closes.eq(byte == 0),
            write.addr.eq(Mux(closes, start, place)),
            write.data.eq(Mux(closes, place - start, byte)),
            crc.data.eq(self.i.payload.byte),
            read.en.eq(1),
            read.addr.eq(position),
        ]
        with m.If(put):
            m.d.comb += write.en.eq(1)
            m.d.sync += place.eq(place + 1)
            with m.If(closes):
                m.d.sync += start.eq(place)
        with m.FSM():
            with m.State("body"):
                m.d.comb += [self.i.ready.eq(1), byte.eq(self.i.payload.byte), put.eq(self.i.valid)]
                m.d.comb += crc.valid.eq(self.i.valid)
                with m.If(self.i.valid & self.i.payload.last):
                    m.next = "crc start"
            with m.State("crc start"):
                m.d.sync += [trailer.eq(crc.crc), crc_left.eq(CRC_BYTES - 1)]
                m.d.comb += crc.start.eq(1)
                m.next = "crc"
            with m.State("crc"):
                m.d.comb += [byte.eq(trailer[:8]), put.eq(1)]
                m.d.sync += [trailer.eq(trailer >> 8), crc_left.eq(crc_left - 1)]
                with m.If(crc_left == 0):
                    m.next = "close"
            with m.State("close"):
                m.d.comb += write.en.eq(1)
                m.d.sync += position.eq(0)
                m.next = "open"
            with m.State("open"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "load"
            with m.State("load"):  # into a register: a block RAM's output alone takes most of a clock
                m.d.sync += coded.eq(read.data)
                m.next = "send"
            with m.State("send"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(coded)]
                with m.If(self.o.ready):
                    m.d.sync += position.eq(position + 1)
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "load"
                with m.If(position == place):
                    m.next = "end"
            with m.State("end"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [start.eq(0), place.eq(1)]
                    m.next = "body"
        return m
