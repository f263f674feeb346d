"""Per-channel parameters: the loader that takes them from their stream, and the two-bank store the lanes read."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths, lane_layout, param_bits


def _bits(n: int) -> int:
    return (n - 1).bit_length()


def param_load(config: EngineConfig) -> data.StructLayout:
    """A request: load the parameters of one pass, ``last_class`` + 1 border classes, into ``bank``."""
    return data.StructLayout({"last_class": unsigned(Widths.of(config).classes), "bank": 1})


class ParamStore(wiring.Component):
    """Loads and holds the parameters of two passes: one in use, one being loaded.

    Loading takes one beat a cycle: for sub, for lane: a lane record; then for class, for sub, for each group of
    offsets_per_beat lanes: their offsets. o_done pulses ``spec.timing.param_cycles`` cycles after the i_load transfer
    when the beats never stall.

    ``record_ports`` read ports answer in the same cycle with all lanes' records (ports of a lane's later pipeline
    stages look up again instead of carrying the record along); the offset port answers in the next cycle.

    Members
    -------
    i_load: request. i_beat: parameter beats. o_done: pulse.
    i_record[k]: {sub, bank} of record port k; o_record[k]: lanes records.
    i_offset: {sub, class, bank}; o_offset: lanes signed offsets, one cycle later.
    """

    def __init__(self, config: EngineConfig, *, record_ports: int) -> None:
        self.config, self.record_ports = config, record_ports
        c = config
        self.sub_bits, self.class_bits = _bits(c.subs), Widths.of(c).classes
        self.record = struct(lane_layout(c))
        super().__init__(
            {
                "i_load": In(stream.Signature(param_load(c))),
                "i_beat": In(stream.Signature(unsigned(param_bits(c)))),
                "o_done": Out(1),
                "i_offset": In(self.sub_bits + self.class_bits + 1),
                "o_offset": Out(data.ArrayLayout(signed(c.post.offset_width), c.lanes)),
                "i_record": In(self.sub_bits + 1).array(record_ports),
                "o_record": Out(data.ArrayLayout(self.record, c.lanes)).array(record_ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        bank, last_class = Signal(), Signal(self.class_bits)
        lane = Signal(range(max(c.lanes, 2)))
        sub = Signal(range(max(c.subs, 2)))
        index = Signal(self.class_bits)
        group = Signal(range(max(c.lanes // c.offsets_per_beat, 2)))
        record_write, offset_write = Signal(), Signal()

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i_load.ready.eq(1)
                with m.If(self.i_load.valid):
                    m.d.sync += [bank.eq(self.i_load.payload.bank), last_class.eq(self.i_load.payload.last_class)]
                    m.next = "RECORDS"
            with m.State("RECORDS"):
                m.d.comb += self.i_beat.ready.eq(1)
                with m.If(self.i_beat.valid):
                    m.d.comb += record_write.eq(1)
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == c.lanes - 1):
                        m.d.sync += [lane.eq(0), sub.eq(sub + 1)]
                        with m.If(sub == c.subs - 1):
                            m.d.sync += sub.eq(0)
                            m.next = "OFFSETS"
            with m.State("OFFSETS"):
                m.d.comb += self.i_beat.ready.eq(1)
                with m.If(self.i_beat.valid):
                    m.d.comb += offset_write.eq(1)
                    m.d.sync += group.eq(group + 1)
                    with m.If(group == c.lanes // c.offsets_per_beat - 1):
                        m.d.sync += [group.eq(0), sub.eq(sub + 1)]
                        with m.If(sub == c.subs - 1):
                            m.d.sync += [sub.eq(0), index.eq(index + 1)]
                            with m.If(index == last_class):
                                m.d.sync += index.eq(0)
                                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.o_done.eq(1)
                m.next = "IDLE"

        self._records(m, record_write, lane, Cat(sub[: self.sub_bits], bank))
        self._offsets(m, offset_write, group, Cat(sub[: self.sub_bits], index, bank))
        return m

    def _records(self, m: Module, write: Signal, lane: Signal, address: Value) -> None:
        """One small memory per lane and read port."""
        c = self.config
        for k in range(self.record_ports):
            for n in range(c.lanes):
                rows = memory.Memory(shape=unsigned(self.record.size), depth=2 << self.sub_bits, init=[])
                m.submodules[f"record_{k}_{n}"] = rows
                w, r = rows.write_port(), rows.read_port(domain="comb")
                m.d.comb += [
                    w.en.eq(write & (lane == n)),
                    w.addr.eq(address),
                    w.data.eq(self.i_beat.payload[: self.record.size]),
                    r.addr.eq(self.i_record[k]),
                    self.o_record[k][n].eq(r.data),
                ]

    def _offsets(self, m: Module, write: Signal, group: Signal, address: Value) -> None:
        """One small memory per lane."""
        c, width = self.config, self.config.post.offset_width
        for n in range(c.lanes):
            which, place = divmod(n, c.offsets_per_beat)
            rows = memory.Memory(shape=signed(width), depth=2 << (self.sub_bits + self.class_bits), init=[])
            m.submodules[f"offset_{n}"] = rows
            w, r = rows.write_port(), rows.read_port()
            m.d.comb += [
                w.en.eq(write & (group == which)),
                w.addr.eq(address),
                w.data.eq(self.i_beat.payload.word_select(place, width)),
                r.addr.eq(self.i_offset),
                self.o_offset[n].eq(r.data),
            ]
