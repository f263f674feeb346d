"""A stand-in for the engine: same ports, scores that depend on every byte and its place, any delay."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.scores import score_layout
from bnnhw.hw.link.weights import LOADING
from bnnhw.spec.link import Identity

IDENTITY = Identity(
    build=0x0123_4567_89AB_CDEF,
    height=5,
    width=11,
    channels=5,
    scores=3,
    score_bits=13,
    counters=2,
    clock_hz=48_000_000,
)


def scores_of(image: bytes, identity: Identity) -> list[int]:
    """score[c] = sum of byte[p] * (p + c + 1), wrapped to ``score_bits``."""
    half = 1 << (identity.score_bits - 1)
    sums = [sum(byte * (place + c + 1) for place, byte in enumerate(image)) for c in range(identity.scores)]
    return [(total + half) % (2 * half) - half for total in sums]


class StandIn(wiring.Component):
    """Takes the next image while it waits ``delay`` clocks before the scores of the last; counters: images, and 0."""

    def __init__(self, *, identity: Identity, delay: int = 20) -> None:
        self.identity, self.delay = identity, delay
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "o_scores": Out(stream.Signature(score_layout(identity.score_bits))),
                "counters": Out(data.ArrayLayout(32, identity.counters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, count = self.identity.image_bytes, self.identity.scores
        place = Signal(range(size + 1))
        sums = [Signal(self.identity.score_bits, name=f"sum_{c}") for c in range(count)]
        ready = [Signal(self.identity.score_bits, name=f"score_{c}") for c in range(count)]
        wait, index, going = Signal(range(self.delay + 1)), Signal(range(count)), Signal()
        m.d.comb += [
            self.i_image.ready.eq(place != size),
            self.o_scores.valid.eq(going & (wait == 0)),
            self.o_scores.payload.score.eq(Array(ready)[index]),
            self.o_scores.payload.last.eq(index == count - 1),
        ]
        with m.If(self.i_image.valid & self.i_image.ready):
            m.d.sync += [s.eq(s + self.i_image.payload * (place + c + 1)) for c, s in enumerate(sums)]
            m.d.sync += place.eq(place + 1)
        with m.If(going):
            with m.If(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            with m.Elif(self.o_scores.ready):
                m.d.sync += index.eq(index + 1)
                with m.If(self.o_scores.payload.last):
                    m.d.sync += [going.eq(0), index.eq(0)]
        with m.Elif(place == size):
            m.d.sync += [going.eq(1), wait.eq(self.delay), place.eq(0), self.counters[0].eq(self.counters[0] + 1)]
            m.d.sync += [r.eq(s) for r, s in zip(ready, sums, strict=True)] + [s.eq(0) for s in sums]
        return m


class StandInMemory(wiring.Component):
    """Where the weights go: takes a byte every ``wait`` + 1 clocks, and says 100 clocks after the last one what became
    of them."""

    def __init__(self, *, identity: Identity, wait: int = 0) -> None:
        self.identity, self.wait = identity, wait
        super().__init__({"i": In(stream.Signature(8)), "state": Out(LOADING)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        wait, reading = Signal(range(self.wait + 1)), Signal(range(101))
        left = Signal(32, init=self.identity.weight_bytes)
        m.d.comb += [
            self.i.ready.eq((wait == 0) & (left != 0)),
            crc.data.eq(self.i.payload),
            crc.valid.eq(self.i.valid & self.i.ready),
            crc.start.eq(crc.valid & (left == self.identity.weight_bytes)),
            self.state.crc.eq(crc.crc),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(crc.valid):
            m.d.sync += [wait.eq(self.wait), left.eq(left - 1), reading.eq(100)]
        with m.Elif((left == 0) & (reading != 0)):
            m.d.sync += reading.eq(reading - 1)
            with m.If(reading == 1):
                right = crc.crc == self.identity.weight_crc
                m.d.sync += self.state.loaded.eq(right)
                with m.If(~right):
                    m.d.comb += self.state.failed.eq(1)
                    m.d.sync += left.eq(self.identity.weight_bytes)
        return m
