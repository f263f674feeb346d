"""Writer of the front unit: pooled values to vectors of ``lanes`` channels, to the memories when these are free."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from bnnhw.hw.arithmetic import less, table
from bnnhw.hw.fifo import StreamFifo, StreamRegister
from bnnhw.hw.front.pool import pooled_place
from bnnhw.hw.memory.activation import bit_write
from bnnhw.hw.memory.writes import writes
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import SLACK, FrontConfig, FrontImages, MapTarget, row_width


def ring_ports(config: EngineConfig) -> dict[str, Member]:
    """Ports of values that go to the SDRAM."""
    if config.front is None or not config.front.spilled or config.spill is None:
        return {}
    return {
        "o_valid": Out(1),
        "o_address": Out(range(config.spill.front_words)),
        "o_word": Out(config.lanes * config.post.value_width),
        "o_row": Out(1),
    }


class FrontWriter(wiring.Component):
    """Rate: a value a cycle in; a vector in every cycle with i_go out.

    Members
    -------
    i_valid, i_place, i_value: pooled values, channels of a pixel in order.
    o_room: all vectors of another row have room. i_limit: rows of the map that may be stored.
    i_go: this cycle's writes, if there are any, are done. o_writes: to the value and the activation memory.
    o_done: pulse, the last vector of an image was written.
    Where values go to the SDRAM: o_valid, o_address, o_word: writes to a ring of two rows, word = x * groups + group;
    o_row: pulse, a row is in it.
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
                "o_room": Out(1),
                "i_limit": In(row_width(self.config)),
                "i_go": In(1),
                "o_writes": Out(writes(config)),
                "o_done": Out(1),
                **ring_ports(config),
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
            }
        )
        queued = vector
        if c.spilled:  # only bits wait
            queued = data.StructLayout({"x": vector["x"].shape, "group": vector["group"].shape, "bits": lanes})
        depth = c.fifo_words
        m.submodules.fifo = fifo = StreamFifo(shape=queued, depth=depth)
        m.submodules.looked_up = looked_up = StreamRegister(shape=self._looked_up(queued))
        m.submodules.placed = placed = StreamRegister(shape=writes(self.engine))
        self._collect(m, vector, fifo.i)
        self._look_up(m, fifo.o, looked_up.i)
        self._place(m, looked_up.o, placed.i)
        waiting = Signal(range(depth + 2 * c.row_vectors))
        taken, more, allowed = Signal(), Signal(), Signal()
        m.d.comb += [
            more.eq(fifo.i.valid & fifo.i.ready),
            placed.o.ready.eq(self.i_go & allowed),
            taken.eq(placed.o.valid & placed.o.ready),
        ]
        m.d.sync += [waiting.eq(waiting + more - taken), self.o_room.eq(waiting <= SLACK + c.ahead * c.row_vectors)]

        # The row that is written, the one after it, and whether they may be: what comes next is only chosen.
        row, following = (Signal(range(max(c.pool_height, 2)), init=n % c.pool_height) for n in (0, 1))
        number, last = Signal(range(max(c.row_vectors, 2))), Signal(init=c.row_vectors == 1)
        end, last_row = Signal(), Signal(init=c.pool_height == 1)
        m.d.comb += [end.eq(taken & last), self.o_done.eq(end & last_row)]
        with m.If(taken):
            m.d.sync += [number.eq(Mux(last, 0, number + 1)), last.eq(number == c.row_vectors - 2)]
            if c.row_vectors == 1:
                m.d.sync += last.eq(1)
        with m.If(end):
            m.d.sync += [row.eq(following), last_row.eq(following == c.pool_height - 1)]
            m.d.sync += following.eq(Mux(following == c.pool_height - 1, 0, following + 1))
        m.d.sync += allowed.eq(Mux(end, following < self.i_limit, row < self.i_limit))
        found, out = placed.o.payload, self.o_writes
        if c.value is not None:
            base = self._row_base(m, c.value, c.pool_height, end, last_row, "value")
            m.d.comb += [
                out.value_valid.eq(placed.o.valid & allowed & found.value_valid),
                out.value_address.eq(base + found.value_address),
                out.value_word.eq(found.value_word),
            ]
        if c.bits is not None:
            base = self._row_base(m, c.bits, c.pool_height, end, last_row, "bit")
            m.d.comb += [
                out.bits.eq(found.bits),
                out.bits_valid.eq(placed.o.valid & allowed & found.bits_valid),
                out.bits.address.eq(base + found.bits.address),
                out.bits.strip.eq(c.bits.strip),
                out.bits.d_strip.eq(c.bits.strip * c.bits.cell),
                out.bits.halo_low.eq(c.bits.halo_low),
                out.bits.halo_high.eq(c.bits.halo_high),
            ]
        return m

    def _looked_up(self, vector: data.StructLayout) -> data.StructLayout:
        """A vector with what `_look_up` finds for it."""
        write, bits = writes(self.engine), bit_write(self.engine)
        fields = {name: vector[name].shape for name in vector.members if name != "x"}
        fields["value_cell"] = write["value_address"].shape
        fields |= {"bit_cell": bits["address"].shape, "bank": bits["bank"].shape, "column": bits["column"].shape}
        if "values" in fields:
            fields["bounds"] = data.ArrayLayout(self._bound, self.engine.lanes)
        return data.StructLayout(fields)

    def _collect(self, m: Module, vector: data.StructLayout, out: stream.Interface) -> None:
        """Values of a pixel into vectors."""
        c, lanes = self.config, self.engine.lanes
        value, place, valid = Signal.like(self.i_value), Signal.like(self.i_place), Signal()
        m.d.sync += [value.eq(self.i_value), place.eq(self.i_place), valid.eq(self.i_valid)]
        held = Signal(vector)
        lane = Signal(range(max(lanes, 2)))  # channels come in order, and groups are whole
        last_lane = lane == lanes - 1
        complete = Signal()
        with m.If(valid):
            m.d.sync += [
                lane.eq(Mux(last_lane, 0, lane + 1)),
                held.values.eq(Cat(*[held.values[n] for n in range(1, lanes)], value)),
                held.x.eq(place.x),
                held.group.eq(table(place.channel, [n // lanes for n in range(c.outs)], held.group.shape())),
            ]
        m.d.sync += complete.eq(valid & last_lane)
        if not c.spilled:
            m.d.comb += [out.valid.eq(complete), out.payload.eq(held)]
            return
        m.d.comb += [
            out.valid.eq(complete if c.bits is not None else 0),
            out.payload.x.eq(held.x),
            out.payload.group.eq(held.group),
            out.payload.bits.eq(_reached(held.values, self._bounds(held.group))),
        ]
        self._ring(m, held, complete)

    def _ring(self, m: Module, held: data.View, complete: Signal) -> None:
        """Values of complete vectors to the ring of those for the SDRAM."""
        c, groups = self.config, self.config.spilled
        cell = table(held.x, [n * groups for n in range(c.pool_width)], self.o_address.shape())
        base, row, last = Signal.like(self.o_address), Signal(range(max(c.pool_height, 2))), Signal()
        m.d.comb += last.eq(complete & (held.x == c.pool_width - 1) & (held.group == c.outs // self.engine.lanes - 1))
        with m.If(last):
            end = row == c.pool_height - 1
            m.d.sync += [row.eq(Mux(end, 0, row + 1)), base.eq(Mux(end, 0, base + c.pool_width * groups))]
        m.d.sync += [
            self.o_valid.eq(complete & (held.group < groups)),
            self.o_address.eq(base + cell + held.group),
            self.o_row.eq(last),
        ]
        for n in range(self.engine.lanes):
            m.d.sync += self.o_word.word_select(n, self.engine.post.value_width).eq(held.values[n])

    @staticmethod
    def _row_base(m: Module, target: MapTarget, height: int, end: Signal, last_row: Signal, name: str) -> Signal:
        """Address of the row's first pixel."""
        base = Signal(range(target.base + target.row * height + 1), name=f"{name}_base", init=target.base)
        with m.If(end):
            m.d.sync += base.eq(Mux(last_row, target.base, base + target.row))
        return base

    @property
    def _bound(self) -> Shape:
        """Of a threshold, which may be one more than the largest value."""
        return signed(self.config.value_width + 1)

    def _bounds(self, group: Value) -> list[Value]:
        """Thresholds of a channel group."""
        bounds, lanes = self.images.thresholds, self.engine.lanes
        return [table(group, bounds[n::lanes], self._bound) for n in range(lanes)]

    def _look_up(self, m: Module, vector: stream.Interface, out: stream.Interface) -> None:
        """What depends on the vector's column or group alone; addresses without the group."""
        c, put = self.config, out.payload
        x, group = vector.payload.x, vector.payload.group
        m.d.comb += [
            vector.ready.eq(out.ready),
            out.valid.eq(vector.valid),
            *(put[name].eq(vector.payload[name]) for name in ("group", "bits" if c.spilled else "values")),
        ]
        if c.value is not None:
            cells = [n * c.value.cell for n in range(c.pool_width)]
            m.d.comb += put.value_cell.eq(table(x, cells, put.value_cell.shape()))
        if c.bits is not None:
            target = c.bits
            banks, columns = zip(*(divmod(n, target.strip) for n in range(c.pool_width)), strict=True)
            cells = [(target.halo_low + column) * target.cell for column in columns]
            m.d.comb += [
                put.bank.eq(table(x, banks, put.bank.shape())),
                put.column.eq(table(x, columns, put.column.shape())),
                put.bit_cell.eq(table(x, cells, put.bit_cell.shape())),
            ]
            if not c.spilled:
                m.d.comb += [put.bounds[n].eq(bound) for n, bound in enumerate(self._bounds(group))]

    def _place(self, m: Module, found: stream.Interface, out: stream.Interface) -> None:
        """Vectors to the writes that they are, with addresses from the row's first pixel on."""
        c, slots, put, vector = self.config, self.engine.slots, out.payload, found.payload
        group = vector.group
        m.d.comb += [found.ready.eq(out.ready), out.valid.eq(found.valid)]
        if c.value is not None:
            m.d.comb += [
                put.value_valid.eq(group < c.value.groups),
                put.value_address.eq(vector.value_cell + group),
            ]
            for n in range(self.engine.lanes):
                m.d.comb += put.value_word.word_select(n, self.engine.post.value_width).eq(vector.values[n])
        if c.bits is not None:
            target, groups = c.bits, range(c.outs // self.engine.lanes)
            inside = table(group, [n // slots for n in groups], vector.bit_cell.shape()) if target.spread else group
            chosen = table(group, [1 << n % slots for n in groups], put.bits.slots.shape())
            m.d.comb += [
                put.bits_valid.eq(group < target.groups),
                put.bits.bits.eq(vector.bits if c.spilled else _reached(vector.values, vector.bounds)),
                put.bits.bank.eq(vector.bank),
                put.bits.column.eq(vector.column),
                put.bits.address.eq(vector.bit_cell + inside),
                put.bits.slots.eq(chosen if target.spread else (1 << slots) - 1),
            ]


def _reached(values: Any, bounds: Any) -> Value:
    """Of each value, whether it reaches its channel's threshold."""
    return Cat(~less(value, bound) for value, bound in zip(values, bounds, strict=True))
