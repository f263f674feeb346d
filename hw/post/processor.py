"""Post-processor: walker, parameters and lanes put together; writes values, bits, codes and scores."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import product
from bnnhw.hw.copy import Copy
from bnnhw.hw.delay import chain, delay
from bnnhw.hw.memory.activation import ActivationMemory
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.memory.writes import writes
from bnnhw.hw.post.lane import Lane, Stages
from bnnhw.hw.post.params import ParamStore, param_load
from bnnhw.hw.post.walk import VectorWalker, vector
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images, Widths, param_bits
from bnnhw.spec.timing import EARLY, post_latency

FREE_COPIES = 3
"""Of ``o_free``: for the value memory, the activation memory and the front unit, which lie apart."""


class PostProcessor(wiring.Component):
    """Takes captured tiles and pooled values, one vector of ``lanes`` channels a cycle, and stores what they become.

    Rate: a vector a cycle; never stalls. Latency: o_retired pulses ``latency`` cycles after the last vector of a pass,
    when all its outputs can be read.

    Members
    -------
    i_capture: a tile was captured by the array, or a value by the pool reader.
    i_counts, i_sum, o_next: the array's row of counts, activation sum, drain chain. i_values: the pool reader's values.
    o_residual_address, i_residual: read of the value memory, answered four cycles later; o_residual_ring: of the ring
    of loaded rows. o_row: like o_retired, for rows of jobs that load or store rows.
    o_writes: writes of the value and the activation memory. o_free: there are none in this cycle; one copy for each of
    those who want to know.
    o_score_valid, o_scores: a vector of scores. i_load, i_beat, o_loaded: see ``ParamStore``.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        assert self.latency == post_latency(config)
        c, w = config, Widths.of(config)
        word = unsigned(c.lanes * c.post.value_width)
        super().__init__(
            {
                "i_capture": In(1),
                "i_counts": In(data.ArrayLayout(unsigned(c.acc_width), c.cols)),
                "i_sum": In(unsigned(c.sum_width)),
                "o_next": Out(1),
                "i_values": In(data.ArrayLayout(signed(max(c.pool_width, 1)), c.lanes)),
                "o_residual_address": Out(w.value_addr),
                "i_residual": In(word),
                "o_writes": Out(writes(c)),
                "o_free": Out(FREE_COPIES),
                "o_score_valid": Out(1),
                "o_scores": Out(data.ArrayLayout(signed(c.post.value_width), c.lanes)),
                "i_load": In(stream.Signature(param_load(c))),
                "i_beat": In(stream.Signature(unsigned(param_bits(c)))),
                "o_loaded": Out(1),
                "o_retired": Out(1),
                "o_row": Out(1),
                "o_residual_ring": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        return Stages(self.config).bit + ActivationMemory.write_latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, s = self.config, Stages(self.config)
        m.submodules.walker = walker = VectorWalker(c, self.images)
        m.submodules.params = params = ParamStore(c)
        m.d.comb += [walker.i_capture.eq(self.i_capture), self.o_next.eq(walker.o_next)]
        wiring.connect(m, wiring.flipped(self.i_load), params.i_load)
        wiring.connect(m, wiring.flipped(self.i_beat), params.i_beat)
        m.d.comb += self.o_loaded.eq(params.o_done)

        vectors = [walker.o_vector] + [Signal(vector(c), name=f"vector_{n}") for n in range(1, s.bit + 1)]
        chain(m, vectors)
        borders = vectors[1].border
        m.d.sync += vectors[2].class_.eq(product(borders.columns, borders.row) + borders.column)
        sources, totals = self._sources(m, vectors[EARLY])

        at = vectors[s.entry - 2]  # the entries are answered after two cycles, the residual after four
        m.d.comb += params.i_entry.eq(Cat(at.sub, at.class_, at.bank))
        m.d.comb += self.o_residual_address.eq(vectors[s.offset - 4].residual_address)
        if c.spill is not None:
            read = vectors[s.offset - 4]
            ring = read.fields.res_ring & ~(read.again if c.post.second else 0)
            if c.spill.second:
                ring |= read.fields.sec_ring & read.again
            m.d.comb += self.o_residual_ring.eq(ring)
        for name in params.record.members:
            taken = vectors[s.records[name] - 1]
            m.d.comb += params.i_record[name].eq(Cat(taken.sub, taken.bank))

        lanes = []
        for n in range(c.lanes):
            m.submodules[f"lane_{n}"] = lane = Lane(c)
            lanes.append(lane)
            m.d.comb += [
                lane.i_x.eq(sources[n]),
                lane.i_a.eq(totals[n]),
                lane.i_entry.eq(params.o_entry[n]),
                lane.i_residual.eq(self.i_residual.word_select(n, c.post.value_width).as_signed()),
                lane.i_plane.eq(vectors[s.bit - 1].plane),
            ]
            m.d.comb += lane.i_record.eq(params.o_record[n])
            if c.post.second:
                m.submodules[f"again_{n}"] = again = Copy(1)
                m.d.comb += [again.i.eq(vectors[s.offset - 1].again), lane.i_again.eq(again.o)]
            for fields, stage in zip(lane.i_fields, lane.field_stages, strict=True):
                # registers of the lane's own, which lie where it does
                m.submodules[f"fields_{n}_{stage}"] = copy = Copy(len(fields.as_value()))
                before = vectors[stage - 1].fields
                m.d.comb += [copy.i.eq(Cat(before[name] for name in fields.shape().members)), fields.eq(copy.o)]
        if c.post.gate_width:
            self._gates(m, vectors, lanes)
        self._store(m, vectors, lanes)
        return m

    def _gates(self, m: Module, vectors: list[data.View], lanes: list[Lane]) -> None:
        """The memory of gates, written like the value memory, and its word for each vector."""
        c, s, out = self.config, Stages(self.config), self.o_writes
        width, result = c.post.value_width, vectors[s.result]
        m.submodules.gates = gates = ColumnMemory(c.lanes * width, c.gate_words, writable=True)
        soon, written = vectors[s.result - 1], Signal()
        m.d.sync += written.eq(self._is_whole(soon) & soon.fields.value & soon.fields.val_gate)
        m.d.comb += [
            gates.i_enable.eq(1),
            gates.i_address.eq(vectors[s.gate - 2].gate_address),
            gates.i_write_valid.eq(written),
            gates.i_write_address.eq(result.value_address),
            gates.i_write.eq(out.value_word),
        ]
        for n, lane in enumerate(lanes):
            m.submodules[f"gate_{n}"] = copy = Copy(width)
            m.d.comb += [copy.i.eq(gates.o.word_select(n, width)), lane.i_gate.eq(copy.o)]

    def _is_whole(self, vector: data.View) -> Value:
        """Whether a vector's y is to be stored as a value: once, in its last turn."""
        whole = vector.plane == 0
        if self.config.post.second:
            whole = vector.again | whole & ~vector.blank
        return vector.valid & vector.inside & whole

    def _sources(self, m: Module, vector: data.View) -> tuple[data.View, list[Value]]:
        """Up to ``source`` and ``scale``: the lanes' inputs, from the array's current row or the pool reader."""
        c, s = self.config, Stages(self.config)
        chosen = Signal(data.ArrayLayout(signed(c.x_width), c.lanes))
        totals = []
        counts = [self.i_counts.as_value().word_select(vector.sub * c.lanes + n, c.acc_width) for n in range(c.lanes)]
        for n in range(c.lanes):
            count = counts[n] if c.subs > 1 else self.i_counts[n]
            m.d.sync += chosen[n].eq(Mux(vector.pool, self.i_values[n], count) if c.pool_modes else count)
            m.submodules[f"total_{n}"] = total = Copy(c.sum_width)
            m.d.comb += total.i.eq(self.i_sum)
            totals.append(delay(m, total.o, s.scale - (1 + EARLY), f"total_{n}"))
        later = delay(m, chosen.as_value(), s.source - (1 + EARLY), "source")
        return data.View(chosen.shape(), later), totals

    def _store(self, m: Module, vectors: list[data.View], lanes: list[Lane]) -> None:
        """Writes to the memories and scores, and the pulse that says when the last of a pass can be read."""
        s = Stages(self.config)
        result, end, out = vectors[s.result], vectors[s.bit], self.o_writes
        values = [lane.o_y for lane in lanes]
        # Whether there is something to write is known a cycle before: it goes to both memories and the front unit.
        soon, later = vectors[s.result - 1], vectors[s.bit - 1]
        first, value, bits = Signal(), Signal(), Signal()
        gate = soon.fields.val_gate if self.config.post.gate_width else 0
        m.d.comb += [
            first.eq(self._is_whole(soon)),
            value.eq(first & soon.fields.value & ~gate),
            bits.eq(later.valid & later.inside & later.fields.bits & ~(later.blank if self.config.post.second else 0)),
        ]
        m.submodules.free = free = Copy(FREE_COPIES)
        m.d.comb += [free.i.eq((~(value | bits)).replicate(FREE_COPIES)), self.o_free.eq(free.o)]
        m.d.sync += [
            out.value_valid.eq(value),
            out.bits_valid.eq(bits),
            self.o_score_valid.eq(first & soon.fields.score),
        ]
        m.d.comb += [
            out.value_address.eq(result.value_address),
            out.value_word.eq(Cat(values)),
            self.o_scores.eq(Cat(values)),
            out.bits.eq(end.write),
            out.bits.bits.eq(Cat(lane.o_bit for lane in lanes)),
        ]
        m.d.comb += self.o_retired.eq(delay(m, end.valid & end.pass_end, ActivationMemory.write_latency, "retiring"))
        if self.config.spill is not None:
            m.d.comb += out.value_ring.eq(result.fields.val_ring)
            row = end.valid & end.row_end & end.fields.spill
            m.d.comb += self.o_row.eq(delay(m, row, ActivationMemory.write_latency, "row"))
