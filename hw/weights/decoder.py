"""Codebook decode: indices and codewords in, weight bits out."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import decode_layout

KERNEL = 9
"""Positions of a codeword: codebooks are of 3 x 3 kernels."""


class CodebookDecoder(wiring.Component):
    """o[c, s, l] = codebook[tap{s}][index[c, group{s} * lanes + l]] where en{s}, else 0.

    c: column of the beat; s: slot; l: lane; fields of the decode word are in braces. What it lacks where slots are
    alike: see `decode_layout`.

    Rate: one word a cycle. Latency: 3 cycles from i_entry to o, 1 from i_beat to o. Codebook and indices are
    registers: what is stored in a cycle counts for the entries of later cycles.

    Parameters
    ----------
    config
        depth, lanes, fetch, tau.

    Members
    -------
    i_beat: a beat. i_position: one-hot, stores it as the codebook's bits of that kernel position. i_plane: one-hot,
    stores it as that bit of the indices. i_raw: o becomes the beat itself, instead of a decoded word.
    i_entry: how to make the word; o: the word.
    """

    latency = 3

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_beat": In(config.beat_bits),
                "i_position": In(KERNEL),
                "i_plane": In(config.tau),
                "i_raw": In(1),
                "i_entry": In(struct(decode_layout(config))),
                "o": Out(config.beat_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        words = 1 << c.tau
        codebook = [Signal(words, name=f"codebook_{t}", reset_less=True) for t in range(KERNEL)]
        planes = [Signal(c.beat_bits, name=f"plane_{b}", reset_less=True) for b in range(c.tau)]
        for t, position in enumerate(codebook):
            with m.If(self.i_position[t]):
                m.d.sync += position.eq(self.i_beat[:words])
        for b, plane in enumerate(planes):
            with m.If(self.i_plane[b]):
                m.d.sync += plane.eq(self.i_beat)

        decoded = Signal(c.beat_bits)
        vectors = [self._vector(m, s, codebook) for s in range(c.reads)]
        for s in range(c.slots):
            self._slot(m, s, vectors[s * c.reads // c.slots], planes, decoded)
        with m.If(self.i_raw):
            m.d.sync += self.o.eq(self.i_beat)
        with m.Else():
            m.d.sync += self.o.eq(decoded)
        return m

    def _vector(self, m: Module, s: int, codebook: list[Signal]) -> Signal:
        """First stage: the codebook's bits of the slot's tap; none where it is not enabled, if it alone has them."""
        vector = Signal(1 << self.config.tau, name=f"vector_{s}", reset_less=True)
        with m.Switch(self.i_entry[f"tap{s}"]):
            for t, position in enumerate(codebook):
                with m.Case(t):
                    m.d.sync += vector.eq(position)
        if not self.config.alike:
            with m.If(~self.i_entry[f"en{s}"]):
                m.d.sync += vector.eq(0)
        return vector

    def _slot(self, m: Module, s: int, vector: Signal, planes: list[Signal], decoded: Value) -> None:
        """First stage: every bit's index. Second: of the codebook bits those that the low half of the index chooses.
        Third, in ``elaborate``: the one of these that the high half does."""
        c = self.config
        enabled: Value = Const(1)
        if c.alike and c.partial:
            enabled = Signal(name=f"enabled_{s}")
            m.d.sync += enabled.eq(self.i_entry[f"en{s}"])
        group: int | Value = s
        if not c.alike and c.slots > 1:
            group = self.i_entry[f"group{s}"]
        low = -(-c.tau // 2)
        for column in range(c.fetch):
            for lane in range(c.lanes):
                base = column * c.depth + lane
                index = Signal(c.tau, name=f"index_{s}_{column}_{lane}", reset_less=True)
                choices = Cat(plane[base + g * c.lanes] for g in range(c.slots) for plane in planes)
                m.d.sync += index.eq(data.View(data.ArrayLayout(unsigned(c.tau), c.slots), choices)[group])
                name = f"{s}_{column}_{lane}"
                high = index[low:]
                few = Signal(1 << len(high), name=f"few_{name}", reset_less=True)
                later = Signal(len(high), name=f"later_{name}", reset_less=True)
                m.d.sync += [
                    few[k].eq(vector[k << low : k + 1 << low].bit_select(index[:low], 1) & enabled)
                    for k in range(len(few))
                ]
                m.d.sync += later.eq(high)
                m.d.comb += decoded[base + s * c.lanes].eq(few.bit_select(later, 1))
