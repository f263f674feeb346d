"""Writer of the front unit: pooled values to vectors of ``lanes`` channels, to the memories when these are free."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.fifo import StreamFifo
from bnnhw.hw.front.pool import pooled_place
from bnnhw.hw.memory.writes import writes
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import SLACK, FrontConfig, FrontImages, MapTarget


class FrontWriter(wiring.Component):
    """Rate: a value a cycle in; a vector in every cycle with i_go out.

    Members
    -------
    i_valid, i_place, i_value, i_last: pooled values, channels of a pixel in order, and the row's last.
    o_room: all vectors of another row have room.
    i_go: this cycle's writes, if there are any, are done. o_writes: to the value and the activation memory.
    o_done: pulse, the last vector of an image was written.
    """

    def __init__(self, config: EngineConfig, images: FrontImages) -> None:
        assert config.front is not None
        self.engine, self.images = config, images
        self.config: FrontConfig = config.front
        super().__init__(
            {
                "i_valid": In(1),
                "i_place": In(pooled_place(self.config)),
                "i_value": In(signed(self.config.value_width)),
                "i_last": In(1),
                "o_room": Out(1),
                "i_go": In(1),
                "o_writes": Out(writes(config)),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, lanes = self.config, self.engine.lanes
        groups = c.outs // lanes
        vector = data.StructLayout(
            {
                "x": unsigned(len(self.i_place.x)),
                "group": range(max(groups, 2)),
                "values": data.ArrayLayout(signed(c.value_width), lanes),
                "bits": lanes,
                "last": 1,
            }
        )
        depth = c.fifo_words
        m.submodules.fifo = fifo = StreamFifo(shape=vector, depth=depth)
        self._collect(m, vector, fifo.i)
        # What is on its way from the multipliers counts as there: it is of rows that began before.
        waiting = Signal(range(depth + 2 * c.row_vectors))
        out = fifo.o.payload
        taken, more = Signal(), Signal()
        m.d.comb += [more.eq(fifo.i.valid & fifo.i.ready), taken.eq(fifo.o.valid & fifo.o.ready)]
        m.d.sync += [waiting.eq(waiting + more - taken), self.o_room.eq(waiting <= SLACK)]

        row = Signal(range(max(c.pool_height, 2)))
        last_row, end = row == c.pool_height - 1, taken & out.last
        m.d.comb += [fifo.o.ready.eq(self.i_go), self.o_done.eq(end & last_row)]
        with m.If(end):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        x, group = out.x, out.group
        if c.value is not None:
            base = self._row_base(m, c.value, c.pool_height, end, last_row, "value")
            m.d.comb += [
                self.o_writes.value_valid.eq(fifo.o.valid & (group < c.value.groups)),
                self.o_writes.value_address.eq(base + Array(n * c.value.cell for n in range(c.pool_width))[x] + group),
            ]
            for n in range(lanes):
                wide = self.o_writes.value_word.word_select(n, self.engine.post.value_width)
                m.d.comb += wide.eq(out.values[n])
        if c.bits is not None:
            bit_base = self._row_base(m, c.bits, c.pool_height, end, last_row, "bit")
            self._bits(m, c.bits, x, group, fifo.o.valid, bit_base)
            m.d.comb += self.o_writes.bits.bits.eq(out.bits)
        return m

    def _collect(self, m: Module, vector: data.StructLayout, out: stream.Interface) -> None:
        """Values of a pixel into vectors; thresholds are looked up on the way."""
        c, lanes = self.config, self.engine.lanes
        threshold = Signal(signed(c.value_width + 1))
        value, place, valid, last = Signal.like(self.i_value), Signal.like(self.i_place), Signal(), Signal()
        thresholds = [Const(t, signed(c.value_width + 1)) for t in self.images.thresholds]
        m.d.sync += [
            threshold.eq(Array(thresholds)[self.i_place.channel] if c.bits is not None else 0),
            value.eq(self.i_value),
            place.eq(self.i_place),
            valid.eq(self.i_valid),
            last.eq(self.i_last),
        ]
        held = Signal(vector)
        lane = Signal(range(max(lanes, 2)))  # channels come in order, and groups are whole
        last_lane = lane == lanes - 1
        complete, ended = Signal(), Signal()
        with m.If(valid):
            m.d.sync += [
                lane.eq(Mux(last_lane, 0, lane + 1)),
                held.values.eq(Cat(*[held.values[n] for n in range(1, lanes)], value)),
                held.bits.eq(Cat(held.bits[1:], value >= threshold)),
                held.x.eq(place.x),
                held.group.eq(Array(n // lanes for n in range(c.outs))[place.channel]),
            ]
        m.d.sync += [complete.eq(valid & last_lane), ended.eq(last)]
        m.d.comb += [out.valid.eq(complete), out.payload.eq(held), out.payload.last.eq(ended)]

    @staticmethod
    def _row_base(m: Module, target: MapTarget, height: int, end: Signal, last_row: Signal, name: str) -> Signal:
        """Address of the row's first pixel."""
        base = Signal(range(target.base + target.row * height + 1), name=f"{name}_base", init=target.base)
        with m.If(end):
            m.d.sync += base.eq(Mux(last_row, target.base, base + target.row))
        return base

    def _bits(self, m: Module, target: MapTarget, x: Signal, group: Signal, valid: Signal, base: Signal) -> None:
        """Bank, column, address and slots of a vector's bits."""
        c, slots, write = self.config, self.engine.slots, self.o_writes.bits
        banks = [divmod(n, target.strip) for n in range(c.pool_width)]
        cell = Array((target.halo_low + column) * target.cell for _, column in banks)[x]
        inside = Array(n // slots for n in range(c.outs // self.engine.lanes))[group] if target.spread else group
        chosen = Array(1 << n % slots for n in range(c.outs // self.engine.lanes))[group]
        m.d.comb += [
            self.o_writes.bits_valid.eq(valid & (group < target.groups)),
            write.bank.eq(Array(bank for bank, _ in banks)[x]),
            write.column.eq(Array(column for _, column in banks)[x]),
            write.address.eq(base + cell + inside),
            write.strip.eq(target.strip),
            write.d_strip.eq(target.strip * target.cell),
            write.halo_low.eq(target.halo_low),
            write.halo_high.eq(target.halo_high),
            write.slots.eq(chosen if target.spread else (1 << slots) - 1),
        ]
