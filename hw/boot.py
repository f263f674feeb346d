"""Boot: the weight image goes into the SDRAM and is read back; only then is anything played from it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.weights import LOADING
from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD, PortConfig, request
from bnnhw.spec.external import WeightImage
from bnnhw.spec.sdram import BURST, SdramPart

PORT = PortConfig("host", writes=True, read_words=2 * BURST, write_words=2 * BURST)
"""Of the SDRAM controller, the last in priority: it has nothing to do once an image is at work."""


class Boot(wiring.Component):
    """Writes the image burst by burst as its bytes come, reads all of it back and compares the CRC-32.

    Where that is wrong it says so and begins again with the first byte. Once it is right the port is never used again.

    Rate: a byte a cycle while the memory takes them.

    Parameters
    ----------
    part
        The chip.
    image
        Size and CRC of the image, which lies at burst 0.

    Members
    -------
    i : In(stream of 8 bits)
        The image, low byte of each word first.
    state : Out(LOADING)
    o_request, o_words, i_words
        Of a port of the SDRAM controller.
    """

    def __init__(self, *, part: SdramPart, image: WeightImage) -> None:
        assert 0 < image.bursts * BURST <= part.words, "the planner does not take what the memory cannot hold"
        self.part, self.image = part, image
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "state": Out(LOADING),
                "o_request": Out(stream.Signature(request(part))),
                "o_words": Out(stream.Signature(WRITE_WORD)),
                "i_words": In(stream.Signature(WORD)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_burst = self.image.bursts - 1
        write = Signal(init=1)
        m.d.comb += [
            self.o_request.payload.burst.eq(0),
            self.o_request.payload.last.eq(last_burst),
            self.o_request.payload.write.eq(write),
        ]
        self._words(m)
        # What goes into the CRC goes through a register: words come out of a memory, the start from the port, far off.
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=WORD.width).create()
        word, fresh, start = Signal(WORD), Signal(), Signal()
        left = Signal(range(self.image.bursts * BURST + 1))
        m.d.comb += [self.i_words.ready.eq(1), crc.data.eq(word), crc.valid.eq(fresh), crc.start.eq(start)]
        m.d.comb += self.state.crc.eq(crc.crc)
        m.d.sync += [word.eq(self.i_words.payload), fresh.eq(self.i_words.valid), left.eq(left - self.i_words.valid)]
        m.d.sync += start.eq(0)
        right = Signal()
        m.d.sync += right.eq(crc.crc == self.image.crc)
        with m.FSM():
            with m.State("write"):
                m.d.comb += self.o_request.valid.eq(1)
                with m.If(self.o_request.ready):
                    m.d.sync += [write.eq(0), left.eq(self.image.bursts * BURST)]
                    m.next = "read"
            with m.State("read"):  # taken when the last burst is written
                m.d.comb += self.o_request.valid.eq(1)
                with m.If(self.o_request.ready):
                    m.d.sync += start.eq(1)
                    m.next = "check"
            with m.State("check"), m.If(left == 0):
                m.next = "add"
            with m.State("add"):  # the last word into the CRC,
                m.next = "compare"
            with m.State("compare"):  # which is compared
                m.next = "end"
            with m.State("end"):
                with m.If(right):
                    m.d.sync += self.state.loaded.eq(1)
                    m.next = "loaded"
                with m.Else():
                    m.d.comb += self.state.failed.eq(1)
                    m.d.sync += write.eq(1)
                    m.next = "write"
            with m.State("loaded"):
                pass
        return m

    def _words(self, m: Module) -> None:
        """Two bytes are a word."""
        low, half = Signal(8), Signal()
        m.d.comb += [
            self.o_words.payload.data.eq(Cat(low, self.i.payload)),
            self.o_words.payload.enable.eq(0b11),
            self.o_words.valid.eq(self.i.valid & half),
            self.i.ready.eq(~half | self.o_words.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += half.eq(~half)
            with m.If(~half):
                m.d.sync += low.eq(self.i.payload)
