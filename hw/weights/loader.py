"""Weight loader: turns the stream of weight beats into writes of the weight buffer, pass by pass."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.delay import delay
from bnnhw.hw.layouts import struct
from bnnhw.hw.weights.decoder import KERNEL, CodebookDecoder
from bnnhw.hw.weights.walk import DecodeWalk
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths, load_layout


def load_request(config: EngineConfig) -> data.StructLayout:
    """The fields of a load word (``spec.program.load_layout``) for one pass, and the bank that its weights go to."""
    fields = {name: field.shape for name, field in struct(load_layout(config)) if name != "last_pass"}
    return data.StructLayout(fields | {"bank": unsigned(1)})


class WeightLoader(wiring.Component):
    """Loads one pass for every i_load (whose ``weights`` must be 1), in the order that ``spec.program.Images`` gives.

    Raw pass: every beat is written as it comes. Codebook pass: 9 beats of codebook; then for each column group and
    each decode word, ``tau`` beats of index planes if the word says ``load``, and one write.

    Rate: one beat or one write a cycle. The cycles of a pass are ``spec.timing.load_cycles`` when beats never stall.
    i_load is ready from the cycle of o_done on; i_beat takes nothing between passes.

    Parameters
    ----------
    config
        cols, depth, lanes, fetch, tau, weight_words.
    decodes
        ``Images.decodes``; not used without codebooks.

    Members
    -------
    i_load: ``load_request``. i_beat: beats of fetch * depth bits.
    o_enable, o_address, o_data: write port of the weight buffer, one enable a column group, address {word, bank}.
    o_done: high for the cycle after the last write: from then on the pass can be read.
    """

    def __init__(self, config: EngineConfig, decodes: Sequence[int] = ()) -> None:
        self.config, self.decodes = config, tuple(decodes) or (0,)
        assert not config.tau or config.beat_bits >= 1 << config.tau
        self.groups = config.cols // config.fetch
        super().__init__(
            {
                "i_load": In(stream.Signature(load_request(config))),
                "i_beat": In(stream.Signature(unsigned(config.beat_bits))),
                "o_enable": Out(self.groups),
                "o_address": Out(Widths.of(config).weight + 1),
                "o_data": Out(config.beat_bits),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = Signal(self.i_load.payload.shape())
        word = Signal(Widths.of(self.config).weight)
        group = Signal(self.groups, init=1)  # one-hot
        raw, decoded = Signal(), Signal()  # a write of this kind starts in this cycle
        last_word, last = Signal(), Signal()
        m.d.comb += [last_word.eq(word == request.last_word), last.eq(last_word & group[-1])]
        with m.If(raw | decoded):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))
            with m.If(last_word):
                m.d.sync += group.eq(group.rotate_left(1))

        # A raw write leaves in the next cycle, a decoded one two cycles later; only one kind is ever on its way. With
        # codebooks all of it is a cycle later still: their decoder is large, and gets what it needs from registers.
        write = data.StructLayout({"enable": self.groups, "address": len(self.o_address), "last": 1})
        start, delayed, later, out = (Signal(write, name=n) for n in ("start", "delayed", "later", "out"))
        staged = 1 if self.config.tau else 0
        started = data.View(write, delay(m, start.as_value(), staged, "started"))
        raw_started, decoded_started = (delay(m, s, staged, f"{s.name}_started") for s in (raw, decoded))
        m.d.comb += [
            start.enable.eq(group),
            start.address.eq(Cat(word, request.bank)),
            start.last.eq(last),
            self.o_enable.eq(out.enable),
            self.o_address.eq(out.address),
        ]
        m.d.sync += [
            delayed.eq(Mux(decoded_started, started, 0)),
            later.eq(delayed),
            out.eq(Mux(raw_started, started, later)),
            self.o_done.eq(out.last),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i_load.ready.eq(1)
                with m.If(self.i_load.valid):
                    m.d.sync += request.eq(self.i_load.payload)
                    m.next = "RAW"
                    if self.config.tau:
                        with m.If(self.i_load.payload.codebook):
                            m.next = "CODEBOOK"
            with m.State("RAW"):
                m.d.comb += [self.i_beat.ready.eq(1), raw.eq(self.i_beat.valid)]
                with m.If(raw & last):
                    m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(out.last):
                    m.next = "IDLE"
            if self.config.tau:
                self._codebook_states(m, request, raw, decoded, last)
            else:
                m.d.sync += self.o_data.eq(self.i_beat.payload)
        return m

    def _codebook_states(self, m: Module, request: data.View, raw: Signal, decoded: Signal, last: Signal) -> None:
        """Takes the codebook, then for each decode word the indices it asks for, and starts its write."""
        m.submodules.walk = walk = DecodeWalk(self.config, self.decodes)
        m.submodules.decoder = decoder = CodebookDecoder(self.config)
        position = Signal(KERNEL, init=1)  # one-hot
        plane = Signal(self.config.tau, init=1)  # one-hot
        taken = Signal()  # the indices that the decode word asks for
        m.d.comb += [
            walk.i_start.eq(self.i_load.valid & self.i_load.ready),
            walk.i_first.eq(request.decode),
            walk.i_last.eq(request.last_word),
            walk.i_next.eq(decoded),
            self.o_data.eq(decoder.o),
        ]
        m.d.sync += [decoder.i_entry.eq(walk.o), decoder.i_beat.eq(self.i_beat.payload), decoder.i_raw.eq(raw)]
        m.d.sync += [decoder.i_position.eq(0), decoder.i_plane.eq(0)]
        with m.State("CODEBOOK"):
            m.d.comb += self.i_beat.ready.eq(1)
            with m.If(self.i_beat.valid):
                m.d.sync += [decoder.i_position.eq(position), position.eq(position.rotate_left(1))]
                with m.If(position[-1]):
                    m.next = "DECODE"
        with m.State("DECODE"):
            with m.If(walk.o.load & ~taken):
                m.d.comb += self.i_beat.ready.eq(1)
                with m.If(self.i_beat.valid):
                    m.d.sync += [decoder.i_plane.eq(plane), plane.eq(plane.rotate_left(1)), taken.eq(plane[-1])]
            with m.Else():
                m.d.comb += decoded.eq(1)
                m.d.sync += taken.eq(0)
                with m.If(last):
                    m.next = "FINISH"
