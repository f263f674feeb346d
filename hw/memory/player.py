"""Plays a region of the SDRAM as a stream of beats, over and over."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.sdram.layouts import WORD, request
from bnnhw.spec.external import Region
from bnnhw.spec.sdram import BURST, SdramPart


class SdramPlayer(wiring.Component):
    """Asks for the region again whenever a request is taken, and puts words together to beats.

    Rate: a word a cycle in, so a beat every ``beat_words`` cycles. Latency: a cycle from a beat's last word to o.

    Parameters
    ----------
    part
        The chip.
    region
        What is played.

    Members
    -------
    i_play: the region may be asked for (1 if nobody says). o_request, i_words: of a port of the SDRAM controller.
    o: the beats.
    """

    def __init__(self, *, part: SdramPart, region: Region) -> None:
        self.part, self.region = part, region
        super().__init__(
            {
                "i_play": In(1, init=1),
                "o_request": Out(stream.Signature(request(part))),
                "i_words": In(stream.Signature(WORD)),
                "o": Out(stream.Signature(unsigned(region.width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        region = self.region
        m.d.comb += [
            self.o_request.valid.eq(self.i_play),
            self.o_request.payload.burst.eq(region.first),
            self.o_request.payload.last.eq(region.bursts - 1),
        ]
        beat = Signal(16 * region.beat_words)
        word, left = Signal(range(max(region.beat_words, 2))), Signal(range(max(region.beats, 2)))
        spare = region.bursts * BURST - region.words  # words of the last burst that belong to no beat
        skip = Signal(range(spare + 1))
        taken, last_word, full = Signal(), Signal(), Signal()
        m.d.comb += [
            self.o.valid.eq(full),
            self.o.payload.eq(beat),
            self.i_words.ready.eq(~full | self.o.ready | (skip != 0)),
            taken.eq(self.i_words.valid & self.i_words.ready & (skip == 0)),
            last_word.eq(word == region.beat_words - 1),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(taken):
            m.d.sync += [
                beat.eq(Cat(beat, self.i_words.payload)[16:]),
                word.eq(Mux(last_word, 0, word + 1)),
                full.eq(last_word),
            ]
            with m.If(last_word):
                m.d.sync += left.eq(left + 1)
                with m.If(left == region.beats - 1):
                    m.d.sync += [left.eq(0), skip.eq(spare)]
        if spare:
            with m.If(self.i_words.valid & (skip != 0)):
                m.d.sync += skip.eq(skip - 1)
        return m
