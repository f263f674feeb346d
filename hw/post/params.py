"""Per-channel parameters: the loader that takes them from their stream, and the two-bank store the lanes read."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy
from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.style import style
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
    entries_per_beat lanes: their entries. o_done pulses ``spec.timing.param_cycles`` cycles after the i_load transfer
    when the beats never stall.

    Every field of the records has an address of its own, and answers in the next cycle with all lanes' values: later
    stages of the lanes look up later, instead of carrying parameters along. The entry port answers after two cycles.
    Each lane has address registers of its own, so that they lie where the lane does.

    Members
    -------
    i_load: request. i_beat: parameter beats. o_done: pulse.
    i_record: {sub, bank} for each field; o_record: the records of all lanes, each field at its own address.
    i_entry: {sub, class, bank}; o_entry: lanes signed entries of that class.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        c = config
        self.sub_bits, self.class_bits = _bits(c.subs), Widths.of(c).classes
        self.record = struct(lane_layout(c))
        super().__init__(
            {
                "i_load": In(stream.Signature(param_load(c))),
                "i_beat": In(stream.Signature(unsigned(param_bits(c)))),
                "o_done": Out(1),
                "i_entry": In(self.sub_bits + self.class_bits + 1),
                "o_entry": Out(data.ArrayLayout(signed(c.post.entry_width), c.lanes)),
                "i_record": In(data.StructLayout(dict.fromkeys(self.record.members, self.sub_bits + 1))),
                "o_record": Out(data.ArrayLayout(self.record, c.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        bank, last_class = Signal(), Signal(self.class_bits)
        lane = Signal(range(max(c.lanes, 2)))
        sub = Signal(range(max(c.subs, 2)))
        index = Signal(self.class_bits)
        group = Signal(range(max(c.lanes // c.entries_per_beat, 2)))
        record_write, entry_write = Signal(), Signal()

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
                            m.next = "ENTRIES"
            with m.State("ENTRIES"):
                m.d.comb += self.i_beat.ready.eq(1)
                with m.If(self.i_beat.valid):
                    m.d.comb += entry_write.eq(1)
                    m.d.sync += group.eq(group + 1)
                    with m.If(group == c.lanes // c.entries_per_beat - 1):
                        m.d.sync += [group.eq(0), sub.eq(sub + 1)]
                        with m.If(sub == c.subs - 1):
                            m.d.sync += [sub.eq(0), index.eq(index + 1)]
                            with m.If(index == last_class):
                                m.d.sync += index.eq(0)
                                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.o_done.eq(1)
                m.next = "IDLE"

        # Writes leave from registers: o_done comes with the last of them.
        beat = Signal.like(self.i_beat.payload)
        record_enable, entry_enable = Signal(c.lanes), Signal(c.lanes)
        record_address, entry_address = Signal(self.sub_bits + 1), Signal.like(self.i_entry)
        m.d.sync += [
            beat.eq(self.i_beat.payload),
            record_address.eq(Cat(sub[: self.sub_bits], bank)),
            entry_address.eq(Cat(sub[: self.sub_bits], index, bank)),
        ]
        for n in range(c.lanes):
            m.d.sync += [
                record_enable[n].eq(record_write & (lane == n)),
                entry_enable[n].eq(entry_write & (group == n // c.entries_per_beat)),
            ]
        self._records(m, beat, record_enable, record_address)
        self._entries(m, beat, entry_enable, entry_address)
        return m

    def _records(self, m: Module, beat: Signal, enable: Signal, address: Signal) -> None:
        """One small memory per lane and field."""
        beat_record = data.View(self.record, beat[: self.record.size])
        depth = 2 << self.sub_bits
        for n in range(self.config.lanes):
            m.submodules[f"addresses_{n}"] = copy = Copy(len(self.i_record.as_value()))
            m.d.comb += copy.i.eq(self.i_record)
            addresses = data.View(self.i_record.shape(), copy.o)
            for name, shape in self.record.members.items():
                rows = memory.Memory(shape=shape, depth=depth, init=[], attrs=style(depth, self.record.size))
                m.submodules[f"{name}_{n}"] = rows
                w, r = rows.write_port(), rows.read_port(domain="comb")
                m.d.comb += [
                    w.en.eq(enable[n]),
                    w.addr.eq(address),
                    w.data.eq(beat_record[name]),
                    r.addr.eq(addresses[name]),
                    self.o_record[n][name].eq(r.data),
                ]

    def _entries(self, m: Module, beat: Signal, enable: Signal, address: Signal) -> None:
        """One small memory per lane."""
        c, width = self.config, self.config.post.entry_width
        depth = 2 << (self.sub_bits + self.class_bits)
        for n in range(c.lanes):
            rows = memory.Memory(shape=signed(width), depth=depth, init=[], attrs=style(depth, width))
            m.submodules[f"entry_{n}"] = rows
            m.submodules[f"entry_address_{n}"] = copy = Copy(len(self.i_entry))
            m.d.comb += copy.i.eq(self.i_entry)
            w, r = rows.write_port(), rows.read_port()
            m.d.comb += [
                w.en.eq(enable[n]),
                w.addr.eq(address),
                w.data.eq(beat.word_select(n % c.entries_per_beat, width)),
                r.addr.eq(copy.o),
                self.o_entry[n].eq(r.data),
            ]
