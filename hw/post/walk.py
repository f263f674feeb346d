"""Vector walker: from captured tiles to one vector a cycle, each with its addresses, border class and pass fields."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.activation import bit_write
from bnnhw.hw.sequencer.walk import NestedWalk, StripWalk
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.layout import WordLayout
from bnnhw.spec.program import POOL, Images, Widths, pass_layout

CARRIED = (
    "shift",
    "slope_shift",
    "code_shift",
    "low",
    "high",
    "residual",
    "value",
    "score",
    "bits",
    "codes",
    "last_plane",
)
"""Pass fields that travel with a vector: the walker may be two passes ahead of the end of the pipeline."""


def vector(config: EngineConfig) -> data.StructLayout:
    """What travels with one vector of ``lanes`` channels through the post-processing pipeline."""
    w = Widths.of(config)
    carried = struct(WordLayout(tuple(f for f in pass_layout(config).fields if f.name in CARRIED)))
    return data.StructLayout(
        {
            "valid": 1,
            "inside": 1,
            "pass_end": 1,
            "pool": 1,
            "bank": 1,
            "sub": (config.subs - 1).bit_length(),
            "class_": unsigned(w.classes),
            "border": data.StructLayout({"row": w.classes, "column": w.classes, "columns": w.classes + 1}),
            "plane": unsigned(max(config.post.code_planes - 1, 1).bit_length()),
            "residual_address": unsigned(w.value_addr if config.post.residual else 0),
            "value_address": unsigned(w.value_addr),
            "write": bit_write(config),
            "fields": carried,
        }
    )


class VectorWalker(wiring.Component):
    """Follows the same passes and positions as the issue unit, on its own, driven by captures.

    Rate: a vector a cycle from the capture on. A capture must not come before the previous tile's last vector, nor
    earlier than ``spec.timing.POST_SWITCH`` cycles after it when a new pass begins.

    Members
    -------
    i_array, i_pool: a tile was captured by the array / a value by the pool reader.
    o_vector: the vector of this cycle (``write.bits`` and ``class_`` = row * columns + column of ``border`` are 0 here). o_next: the array's drain chain moves a row on.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        super().__init__(
            {
                "i_array": In(1),
                "i_pool": In(1),
                "o_vector": Out(vector(config)),
                "o_next": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, w = self.config, Widths.of(self.config)
        layout = struct(pass_layout(c))
        m.submodules.rom = rom = memory.Memory(shape=unsigned(layout.size), depth=c.passes, init=self.images.passes)
        port = rom.read_port()
        fetched, p = data.View(layout, port.data), Signal(layout)
        index = Signal(range(max(c.passes, 2)))
        m.d.comb += port.addr.eq(index)

        left = Signal(w.drain)
        vector_now = Signal()
        capture = self.i_array | self.i_pool
        m.d.comb += vector_now.eq(capture | (left != 0))
        with m.If(capture):
            m.d.sync += left.eq(p.drain)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        y, lx, r = Signal(w.position), Signal(w.position), Signal(w.row)
        sub, plane = Signal(range(max(c.subs, 2))), Signal(self.o_vector.plane.shape())
        bank, load = Signal(init=1), Signal()
        next_y, next_lx, next_r, pass_end = Signal(), Signal(), Signal(), Signal()
        is_pool = Signal()
        m.d.comb += is_pool.eq(p.kind == POOL)

        with m.FSM():
            with m.State("FETCH"):
                m.next = "SWITCH"
            with m.State("SWITCH"):
                m.d.comb += load.eq(1)
                m.d.sync += [p.eq(fetched), bank.eq(~bank), index.eq(Mux(fetched.final, 0, index + 1))]
                m.d.sync += [y.eq(0), lx.eq(0), r.eq(0)]
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(vector_now):
                    with m.If(plane != p.last_plane):
                        m.d.sync += plane.eq(plane + 1)
                    with m.Elif((sub != c.subs - 1) & ~is_pool):
                        m.d.sync += [plane.eq(0), sub.eq(sub + 1)]
                    with m.Else():
                        m.d.sync += [plane.eq(0), sub.eq(0)]
                        m.d.comb += self.o_next.eq(~is_pool)
                        with m.If(r != p.last_r):
                            m.d.sync += r.eq(r + 1)
                            m.d.comb += next_r.eq(1)
                        with m.Elif(lx != p.last_lx):
                            m.d.sync += [r.eq(0), lx.eq(lx + 1)]
                            m.d.comb += next_lx.eq(1)
                        with m.Elif(y != p.last_y):
                            m.d.sync += [r.eq(0), lx.eq(0), y.eq(y + 1)]
                            m.d.comb += next_y.eq(1)
                        with m.Else():
                            m.d.comb += pass_end.eq(1)
                            m.next = "SWITCH"

        m.d.comb += [
            self.o_vector.pool.eq(is_pool),
            self.o_vector.valid.eq(vector_now),
            self.o_vector.pass_end.eq(pass_end),
            self.o_vector.bank.eq(bank),
            self.o_vector.sub.eq(sub),
            self.o_vector.plane.eq(plane),
        ]
        m.d.comb += [self.o_vector.fields[name].eq(p[name]) for name in self.o_vector.shape()["fields"].shape.members]
        walks = (load, next_y, next_lx, next_r)
        self._classes(m, p, y, walks)
        self._value_addresses(m, p, fetched, sub, walks)
        self._bit_addresses(m, p, fetched, sub, plane, walks)
        return m

    def _classes(self, m: Module, p, y, walks) -> None:  # type: ignore[no-untyped-def]
        w = Widths.of(self.config)
        m.submodules.x = x = NestedWalk(unsigned(w.position + 1))
        self._drive(m, x, walks, base=0, d_y=0, d_lx=1, d_r=p.strip)

        def border(position, low, high, inner, name: str):  # type: ignore[no-untyped-def]
            index = Signal(w.classes, name=f"class_{name}")
            with m.If(position < low):
                m.d.comb += index.eq(position)
            with m.Elif(position >= high):
                m.d.comb += index.eq(position - high + inner)
            with m.Else():
                m.d.comb += index.eq(low)
            return index

        row = border(y, p.y_low, p.y_high, p.y_inner, "y")
        column = border(x.o_address, p.x_low, p.x_high, p.x_inner, "x")
        m.d.comb += [
            self.o_vector.border.row.eq(row),
            self.o_vector.border.column.eq(column),
            self.o_vector.border.columns.eq(p.x_count),
            self.o_vector.inside.eq(x.o_address < p.out_width),
        ]

    def _value_addresses(self, m: Module, p, fetched, sub, walks) -> None:  # type: ignore[no-untyped-def]
        w = Widths.of(self.config)
        m.submodules.value = value = NestedWalk(unsigned(w.value_addr))
        self._drive(m, value, walks, base=fetched.val_base, d_y=p.val_dy, d_lx=p.val_dx, d_r=p.val_dr)
        m.d.comb += self.o_vector.value_address.eq(value.o_address + sub)
        if self.config.post.residual:
            m.submodules.residual = residual = NestedWalk(unsigned(w.value_addr))
            self._drive(m, residual, walks, base=fetched.res_base, d_y=p.res_dy, d_lx=p.res_dx, d_r=p.res_dr)
            m.d.comb += self.o_vector.residual_address.eq(residual.o_address + sub)

    def _bit_addresses(self, m: Module, p, fetched, sub, plane, walks) -> None:  # type: ignore[no-untyped-def]
        c, w = self.config, Widths.of(self.config)
        m.submodules.cell = cell = StripWalk(bank_width=w.row, position_width=w.position, address_width=w.bit_addr)
        load, next_y, next_lx, next_r = walks
        m.d.comb += [
            cell.i_load.eq(load),
            cell.i_next_y.eq(next_y),
            cell.i_next_lx.eq(next_lx),
            cell.i_next_r.eq(next_r),
            cell.i_base.eq(fetched.bit_base),
            cell.i_d_y.eq(p.bit_dy),
            cell.i_d_x.eq(p.bit_dx),
            cell.i_strip.eq(p.bit_strip),
            cell.i_d_strip.eq(p.bit_dstrip),
            cell.i_q.eq(p.bit_q),
            cell.i_rem.eq(p.bit_rem),
            cell.i_d_rem.eq(p.bit_drem),
        ]
        group = Signal(range(2 * max(c.slots, c.subs, 2)))  # slot of this sub if the map is spread
        wraps = Signal(range(c.subs + 1))
        first_slot = p.slot if c.slots > 1 else 0
        m.d.comb += [group.eq(first_slot + sub)]
        for k in range(1, (c.slots + c.subs - 2) // c.slots + 1):
            with m.If(group >= k * c.slots):
                m.d.comb += wraps.eq(k)
        in_plane = Signal(w.bit_addr)
        # A walk over the planes instead of a product: planes follow each other.
        at_plane = Signal(w.bit_addr)
        with m.If(self.o_vector.valid):
            m.d.sync += at_plane.eq(Mux(plane == p.last_plane, 0, at_plane + p.bit_dplane))
        m.d.comb += in_plane.eq(at_plane + Mux(p.spread, wraps, sub))
        write = self.o_vector.write
        slot = Signal(range(c.slots)) if c.slots > 1 else None
        if slot is None:
            m.d.comb += write.slots.eq(1)
        else:
            m.d.comb += slot.eq(group - wraps * c.slots)
            m.d.comb += write.slots.eq(Mux(p.spread, 1 << slot, (1 << c.slots) - 1))
        m.d.comb += [
            write.bank.eq(cell.o_bank),
            write.column.eq(cell.o_column),
            write.address.eq(cell.o_address + in_plane),
            write.strip.eq(p.bit_strip),
            write.d_strip.eq(p.bit_dstrip),
            write.halo_low.eq(p.halo_low),
            write.halo_high.eq(p.halo_high),
        ]

    def _drive(self, m: Module, walk: NestedWalk, walks, *, base, d_y, d_lx, d_r) -> None:  # type: ignore[no-untyped-def]
        load, next_y, next_lx, next_r = walks
        m.d.comb += [
            walk.i_load.eq(load),
            walk.i_next_y.eq(next_y),
            walk.i_next_lx.eq(next_lx),
            walk.i_next_r.eq(next_r),
            walk.i_base.eq(base),
            walk.i_d_y.eq(d_y),
            walk.i_d_lx.eq(d_lx),
            walk.i_d_r.eq(d_r),
        ]
