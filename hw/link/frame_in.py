"""Receives frames: COBS decoding, CRC check, two banks of buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from bnnhw.spec.link import CRC_BYTES, HEAD_BYTES, MAX_CONTENT, RECEIVER_BYTES

FRAME = data.StructLayout(
    {
        "good": 1,  # length and CRC are right; else nothing below means anything
        "length": 8,  # bytes of the body
        "command": 8,
        "tag": 8,
        "image": 32,
        "word": 32,
        "bank": 1,  # where the body lies in the buffer
    }
)


class FrameReceiver(wiring.Component):
    """Turns bytes into frames; see `bnnhw.spec.link` for what a frame is.

    Rate: a byte a clock. Latency: a frame is on ``o`` 1 clock after its closing 0. Back-pressure: no byte is taken
    while a frame waits on ``o``. A frame that is too short, too long, wrongly encoded or has a wrong CRC comes with
    ``good`` 0; nothing between two 0 bytes is no frame.

    A body stays in the buffer until the next frame arrives; one taken with ``hold`` 1 stays until the frame after the
    next one that is taken with ``hold`` 1.

    Members
    -------
    i : In(stream of 8 bits)
    o : Out(stream of FRAME)
    hold : In(1)
        With the transfer on ``o``: leave this frame's bank alone, receive into the other.
    address : In(9), data : Out(8)
        Buffer: bank * 256 + position in the body; ``data`` follows 1 clock later.
    """

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    address: Signal
    data: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(FRAME)),
                "hold": In(1),
                "address": In(9),
                "data": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.buffer = buffer = Memory(shape=8, depth=RECEIVER_BYTES, init=[])
        read, write = buffer.read_port(), buffer.write_port()
        m.d.comb += [read.en.eq(1), read.addr.eq(self.address), self.data.eq(read.data)]

        run = Signal(8)  # bytes left until the next COBS code byte
        fresh = Signal(init=1)  # nothing since the last 0
        bad = Signal()
        count = Signal(8)
        bank = Signal()
        head = Signal(8 * HEAD_BYTES)
        take, content, byte = Signal(), Signal(), Signal(8)
        end = Signal()
        frame = data.View(FRAME, self.o.payload.as_value())
        m.d.comb += [
            self.i.ready.eq(~self.o.valid),
            take.eq(self.i.valid & self.i.ready),
            end.eq(take & (self.i.payload == 0)),
            # Between two runs lies a 0 of the content; it takes the place of the second run's code byte.
            content.eq(take & ~end & ((run != 0) | ~fresh)),
            byte.eq(self.i.payload & (run != 0).replicate(8)),
            crc.data.eq(byte),
            crc.valid.eq(content),
            crc.start.eq(end),
            write.addr.eq(Cat(count, bank)),
            write.data.eq(byte),
            write.en.eq(content),
            Cat(frame.command, frame.tag, frame.image, frame.word).eq(head),
            frame.bank.eq(bank),
        ]
        with m.If(take):
            m.d.sync += fresh.eq(0)
            with m.If(run == 0):
                m.d.sync += run.eq(self.i.payload - 1)
            with m.Else():
                m.d.sync += run.eq(run - 1)
        with m.If(content):
            m.d.sync += count.eq(count + 1)
            with m.If(count == MAX_CONTENT):
                m.d.sync += [bad.eq(1), count.eq(count)]
            with m.Switch(count):
                for position in range(HEAD_BYTES):
                    with m.Case(position):
                        m.d.sync += head[8 * position : 8 * position + 8].eq(byte)
        with m.If(end):
            m.d.sync += [
                self.o.valid.eq(~fresh),
                frame.good.eq((run == 0) & ~bad & (count >= 2 + CRC_BYTES) & crc.match_detected),
                frame.length.eq(count - CRC_BYTES),
                run.eq(0),
                fresh.eq(1),
                bad.eq(0),
                count.eq(0),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
            with m.If(self.hold):
                m.d.sync += bank.eq(~bank)
        return m
