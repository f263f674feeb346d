"""Vector walker: from captured tiles to one vector a cycle, each with its addresses, border class and pass fields."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import times
from bnnhw.hw.border import border_class
from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.activation import bit_write
from bnnhw.hw.sequencer.passes import PassWalk
from bnnhw.hw.sequencer.positions import PositionWalk
from bnnhw.hw.sequencer.walk import NestedWalk, StripWalk
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import CARRIED_FIELDS, VECTOR_FIELDS, job_layout
from bnnhw.spec.program import POOL, Images, Widths
from bnnhw.spec.timing import job_cycles


def vector(config: EngineConfig) -> data.StructLayout:
    """What travels with one vector of ``lanes`` channels through the post-processing pipeline.

    Where there are two residuals, a vector takes two turns: the first reads one of them and stores nothing (``blank``),
    the second reads the other (``again``).
    """
    w = Widths.of(config)
    return data.StructLayout(
        {
            "valid": 1,
            "inside": 1,
            "blank": int(config.post.second),
            "again": int(config.post.second),
            "gate_address": unsigned(w.gate_addr if config.post.gate_width else 0),
            "pass_end": 1,
            "row_end": int(config.spill is not None),
            "pool": 1,
            "bank": 1,
            "sub": (config.subs - 1).bit_length(),
            "class_": unsigned(w.classes),
            "border": data.StructLayout({"row": w.classes, "column": w.classes, "columns": w.classes + 1}),
            "plane": unsigned(max(config.post.code_planes - 1, 1).bit_length()),
            "residual_address": unsigned(w.value_addr if config.post.residual else 0),
            "value_address": unsigned(w.value_addr),
            "write": bit_write(config),
            "fields": struct(job_layout(config).only(CARRIED_FIELDS)),
        }
    )


class VectorWalker(wiring.Component):
    """Follows the same passes and positions as the issue unit, on its own, driven by captures.

    Rate: a vector a cycle from the capture on. A capture must not come before the previous tile's last vector, nor
    earlier than ``spec.timing.POST_SWITCH`` cycles after it when a new pass begins, ``job_cycles`` when a new job does.

    Members
    -------
    i_capture: a tile was captured by the array, or a value by the pool reader.
    o_vector: the vector of this cycle; ``write.bits`` and ``class_`` (row * columns + column of ``border``) are 0 here.
    o_next: the array's drain chain moves a row on.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        super().__init__(
            {
                "i_capture": In(1),
                "o_vector": Out(vector(config)),
                "o_next": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        m.submodules.passes = passes = PassWalk(
            job_layout(c), self.images.jobs, VECTOR_FIELDS, slots=c.slots, gap=job_cycles(c)
        )
        fetched, p = passes.o, Signal(passes.o.shape())

        out = self.o_vector
        m.submodules.positions = walk = PositionWalk(c)
        m.d.comb += [
            walk.i_last_y.eq(fetched.last_y),
            walk.i_last_lx.eq(fetched.last_lx),
            walk.i_last_r.eq(fetched.last_r),
            walk.i_strips.eq(1),
            out.pool.eq(p.kind == POOL),
            out.pass_end.eq(walk.i_next & walk.o_end),
            out.row_end.eq(walk.i_next & walk.o_move.y),
        ]
        m.d.comb += [out.fields[name].eq(p[name]) for name in out.shape()["fields"].shape.members]
        if c.post.gate_width:
            m.d.comb += out.gate_address.eq(p.gate_base + out.sub)
        bank = Signal(init=1)
        m.d.comb += out.bank.eq(bank)
        last_plane, again = Signal(), Signal()
        with m.FSM():
            with m.State("START"):
                with m.If(passes.o_valid):
                    m.next = "SWITCH"
            with m.State("SWITCH"):
                m.d.comb += [walk.i_load.eq(1), passes.i_next.eq(1)]
                m.d.sync += [p.eq(fetched), bank.eq(~bank)]
                m.next = "PLAY"
            with m.State("PLAY"):
                with m.If(out.pass_end):
                    m.next = "SWITCH"

        self._vectors(m, p, fetched, walk, last_plane, again)
        self._classes(m, p, walk)
        self._value_addresses(m, p, fetched, walk.o_move, again)
        self._cells(m, p, fetched, walk.o_move, last_plane)
        return m

    def _vectors(
        self,
        m: Module,
        p: data.View,
        fetched: data.View,
        walk: PositionWalk,
        last_plane: Signal,
        again: Signal,
    ) -> None:
        """The vectors of a tile from its capture on: planes of a sub, subs of a position, positions.

        Whether a count is at its end is a register each, so that little is computed in a vector's own cycle.
        """
        c, out = self.config, self.o_vector
        left, busy = Signal(Widths.of(c).drain), Signal()  # vectors after this one; whether there are any
        m.d.comb += out.valid.eq(self.i_capture | busy)
        with m.If(self.i_capture):
            m.d.sync += [left.eq(p.drain), busy.eq(p.drain != 0)]
        with m.Elif(busy):
            m.d.sync += [left.eq(left - 1), busy.eq(left != 1)]

        sub, plane = Signal(range(max(c.subs, 2))), Signal(out.plane.shape())
        one_sub, last_sub, one_plane = Signal(), Signal(), Signal()
        m.d.comb += [out.sub.eq(sub), out.plane.eq(plane), self.o_next.eq(walk.i_next & ~out.pool)]
        m.d.comb += walk.i_next.eq(out.valid & last_plane & last_sub)
        if c.post.second:
            turns = ~p.codes & (p.last_plane != 0)
            m.d.comb += [out.blank.eq(turns & ~plane[0]), again.eq(turns & plane[0]), out.again.eq(again)]
        with m.If(walk.i_load):
            alone = (fetched.kind == POOL) if c.subs > 1 else 1
            m.d.sync += [one_sub.eq(alone), last_sub.eq(alone)]
            m.d.sync += [s.eq(fetched.last_plane == 0) for s in (one_plane, last_plane)]
        with m.Elif(out.valid):
            with m.If(~last_plane):
                m.d.sync += [plane.eq(plane + 1), last_plane.eq(plane + 1 == p.last_plane)]
            with m.Else():
                m.d.sync += [plane.eq(0), last_plane.eq(one_plane)]
                with m.If(~last_sub):
                    m.d.sync += [sub.eq(sub + 1), last_sub.eq(sub == c.subs - 2)]
                with m.Else():
                    m.d.sync += [sub.eq(0), last_sub.eq(one_sub)]

    def _classes(self, m: Module, p: data.View, walk: PositionWalk) -> None:
        """Whether the pixel is one of the map, and its border class."""
        w = Widths.of(self.config)
        m.submodules.x = x = NestedWalk(unsigned(w.position + 1))
        m.d.comb += [x.i_move.eq(walk.o_move), x.i_base.eq(0), x.i_d_y.eq(0), x.i_d_lx.eq(1), x.i_d_r.eq(p.strip)]

        m.d.comb += [
            self.o_vector.border.row.eq(border_class(walk.o_y, p.y_low, p.y_high, p.y_inner)),
            self.o_vector.border.column.eq(border_class(x.o_address, p.x_low, p.x_high, p.x_inner)),
            self.o_vector.border.columns.eq(p.x_count),
            self.o_vector.inside.eq(x.o_address < p.out_width),
        ]

    def _value_addresses(self, m: Module, p: data.View, fetched: data.View, move: data.View, again: Signal) -> None:
        """Where the value memory keeps y, and the residual of this turn."""
        post, found = self.config.post, {}
        maps = (("value", "val", True), ("residual", "res", post.residual), ("second", "sec", post.second))
        for name, at, present in maps:
            if present:
                m.submodules[name] = walk = NestedWalk(unsigned(Widths.of(self.config).value_addr))
                m.d.comb += [
                    walk.i_move.eq(move),
                    walk.i_base.eq(fetched[f"{at}_base"]),
                    walk.i_d_y.eq(p[f"{at}_dy"]),
                    walk.i_d_lx.eq(p[f"{at}_dx"]),
                    walk.i_d_r.eq(p[f"{at}_dr"]),
                ]
                found[name] = walk.o_address + self.o_vector.sub
        m.d.comb += self.o_vector.value_address.eq(found["value"])
        if post.second:
            m.d.comb += self.o_vector.residual_address.eq(Mux(again, found["second"], found["residual"]))
        elif post.residual:
            m.d.comb += self.o_vector.residual_address.eq(found["residual"])

    def _cells(self, m: Module, p: data.View, fetched: data.View, move: data.View, last_plane: Signal) -> None:
        """Bank, column and address of the pixel in the activation memory."""
        w, write = Widths.of(self.config), self.o_vector.write
        m.submodules.cell = cell = StripWalk(bank_width=w.row, position_width=w.position, address_width=w.bit_addr)
        m.d.comb += [
            cell.i_move.eq(move),
            cell.i_base.eq(fetched.bit_base),
            cell.i_d_y.eq(fetched.bit_dy),
            cell.i_d_x.eq(fetched.bit_dx),
            cell.i_strip.eq(fetched.bit_strip),
            cell.i_d_strip.eq(fetched.bit_dstrip),
            cell.i_q.eq(fetched.bit_q),
            cell.i_rem.eq(fetched.bit_rem),
            cell.i_d_rem.eq(fetched.bit_drem),
            write.bank.eq(cell.o_bank),
            write.column.eq(cell.o_column),
            write.strip.eq(p.bit_strip),
            write.d_strip.eq(p.bit_dstrip),
            write.halo_low.eq(p.halo_low),
            write.halo_high.eq(p.halo_high),
        ]
        # A walk over the planes instead of a product: planes follow each other.
        at_plane, in_plane = Signal(w.bit_addr), self._places(m, p)
        with m.If(self.o_vector.valid):
            m.d.sync += at_plane.eq(Mux(last_plane, 0, at_plane + p.bit_dplane))
        m.d.comb += write.address.eq(cell.o_address + at_plane + in_plane)

    def _places(self, m: Module, p: data.View) -> Value:
        """The slots that take the channel group, and its word inside a plane of the pixel."""
        c, out = self.config, self.o_vector
        if c.slots == 1:  # spread over one slot is the same as replicated
            m.d.comb += out.write.slots.eq(1)
            return out.sub
        group, wraps = Signal(range(c.slots + c.subs)), Signal(range(c.subs + 1))
        m.d.comb += group.eq(p.slot + out.sub)
        for k in range(1, (c.slots + c.subs - 2) // c.slots + 1):
            with m.If(group >= k * c.slots):
                m.d.comb += wraps.eq(k)
        slot = Signal(range(c.slots))
        m.d.comb += slot.eq(group - times(wraps, c.slots))
        m.d.comb += out.write.slots.eq(Mux(p.spread, 1 << slot, (1 << c.slots) - 1))
        return Mux(p.spread, wraps, out.sub)
