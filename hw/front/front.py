"""Front unit: the image's convolution on multipliers, beside the array, with its max pool; stores the map it makes."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.delay import chain, delay
from bnnhw.hw.front.affine import FrontAffine
from bnnhw.hw.front.column import EARLY, FrontColumn, addition, latency
from bnnhw.hw.front.lines import LineBuffer
from bnnhw.hw.front.pool import FrontPool
from bnnhw.hw.front.walk import FrontWalker, step
from bnnhw.hw.front.writer import FrontWriter, ring_ports
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.memory.writes import writes
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import FrontImages, row_width


class Front(wiring.Component):
    """Computes one image ahead of the engine; what it stores is the first map that the engine's passes read.

    Rate: see `spec.front`; rows wait for the image and for i_limit.

    Members
    -------
    i_image: bytes in (y, x, channel) order.
    i_start: the map of the image before was taken into use: the next image may begin. i_limit: rows of the map that may
    be stored. o_done: pulse, the last vector of a map is written. o_waits: for pixels, or for i_start.
    i_go, o_writes: writes, see `FrontWriter`.
    Where values go to the SDRAM: o_valid, o_address, o_word, o_row: see `FrontWriter`; i_stored: pulse, a row has left
    the ring; i_settled: pulse, all rows of a map are in the SDRAM.
    """

    def __init__(self, config: EngineConfig, images: FrontImages) -> None:
        assert config.front is not None
        self.engine, self.config, self.images = config, config.front, images
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "i_start": In(1),
                "i_limit": In(row_width(config.front)),
                "o_done": Out(1),
                "o_waits": Out(1),
                "i_go": In(1),
                "o_writes": Out(writes(config)),
                **ring_ports(config),
                **({"i_stored": In(1), "i_settled": In(1)} if config.front.spilled else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        m.submodules.lines = lines = LineBuffer(c)
        m.submodules.walk = walk = FrontWalker(c)
        m.submodules.affine = affine = FrontAffine(c, self.images)
        m.submodules.pool = pool = FrontPool(c)
        m.submodules.writer = writer = FrontWriter(self.engine, self.images)
        wiring.connect(m, wiring.flipped(self.i_image), lines.i_image)
        unfinished = Signal()
        m.d.comb += [
            walk.i_start.eq(self.i_start),
            walk.i_limit.eq(self.i_limit),
            walk.i_lines.eq(lines.o_ready),
            walk.i_room.eq(writer.o_room),
            lines.i_row.eq(walk.o_row),
            lines.i_last.eq(walk.o_last_row),
            lines.i_inside.eq(walk.o_inside),
            lines.i_byte.eq(walk.o_byte),
            self.o_waits.eq(walk.o_starved | (walk.o_idle & ~unfinished)),
        ]
        done = self._done(m, walk, writer) if c.spilled else writer.o_done
        with m.If(done):
            m.d.sync += unfinished.eq(0)
        with m.Elif(~walk.o_idle):
            m.d.sync += unfinished.eq(1)
        self._multiply(m, lines, walk, affine)
        m.d.comb += [
            pool.i_valid.eq(affine.o_valid),
            pool.i_place.eq(affine.o_place),
            pool.i_value.eq(affine.o_value),
            pool.i_last.eq(affine.o_last),
            writer.i_valid.eq(pool.o_valid),
            writer.i_place.eq(pool.o_place),
            writer.i_value.eq(pool.o_value),
            writer.i_limit.eq(self.i_limit),
            writer.i_go.eq(self.i_go),
            self.o_writes.eq(writer.o_writes),
            self.o_done.eq(done),
        ]
        return m

    def _done(self, m: Module, walk: FrontWalker, writer: FrontWriter) -> Value:
        """Passes values on to the SDRAM; returns whether bits and values of a map are all stored."""
        m.d.comb += [getattr(self, name).eq(getattr(writer, name)) for name in ring_ports(self.engine)]
        rows = Signal.like(walk.i_stored)
        bits, values, done = Signal(), Signal(), Signal()
        m.d.comb += [walk.i_stored.eq(rows), done.eq(values & (bits if self.config.bits is not None else 1))]
        with m.If(self.i_stored):
            m.d.sync += rows.eq(rows + 1)
        with m.If(writer.o_done):
            m.d.sync += bits.eq(1)
        with m.If(self.i_settled):
            m.d.sync += values.eq(1)
        with m.If(done):
            m.d.sync += [bits.eq(0), values.eq(0), rows.eq(0)]
        return done

    def _multiply(self, m: Module, lines: LineBuffer, walk: FrontWalker, affine: FrontAffine) -> None:
        """The columns, a step's control beside its taps, the weights in the order of use."""
        c = self.config
        steps = [Signal(step(c), name=f"step_{n}") for n in range(lines.latency + latency(c))]
        chain(m, [walk.o_step, *steps])
        before_taps, with_taps, adding = steps[lines.latency - 2], steps[lines.latency - 1], steps[-1 - EARLY]
        asked = steps[lines.latency - 3]  # a word comes two cycles after its address
        load = Signal(c.columns)  # which column takes it, with the taps
        m.d.sync += load.eq(Mux(before_taps.control.load, 1 << before_taps.pixel, 0))

        words = self.images.weights
        m.submodules.weights = weights = ColumnMemory(c.window.kernel * c.weight_bits, len(words), init=words)
        word = Signal.like(weights.o)
        m.d.sync += word.eq(weights.o)
        at = Signal(range(max(len(words), 2)))
        m.d.comb += [weights.i_enable.eq(1), weights.i_address.eq(at)]
        with m.If(asked.control.load):
            m.d.sync += at.eq(at + 1)
            with m.If(at == len(words) - 1):
                m.d.sync += at.eq(0)

        add = Signal(addition(c))
        m.d.comb += [
            add.valid.eq(adding.control.valid),
            add.first.eq(adding.control.first),
            add.last.eq(adding.control.last),
            add.pixel.eq(adding.pixel),
            affine.i_finished.eq(delay(m, add.valid & add.last & (add.pixel == 0), EARLY - 1, "finished")),
        ]
        below = None
        for n in reversed(range(c.columns)):
            m.submodules[f"column_{n}"] = column = FrontColumn(c)
            m.d.comb += [
                column.i_taps.eq(lines.o_taps),
                column.i_word.eq(word),
                column.i_load.eq(load[n]),
                column.i_swap.eq(with_taps.control.swap),
                column.i_add.eq(add),
                column.i_handover.eq(affine.o_handover),
            ]
            if below is not None:
                m.d.comb += column.i_below.eq(below.o)
            below = column
        assert below is not None
        m.d.comb += affine.i_sum.eq(below.o)
