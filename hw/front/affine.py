"""Affine step of the front unit: finished sums, one channel a cycle, to values, with what the pool needs to know."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import less, times
from bnnhw.hw.border import border_class
from bnnhw.hw.delay import delay
from bnnhw.hw.front.column import handover
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.multiplier import Multiplier
from bnnhw.spec.front import SLOPE, FrontConfig, FrontImages

LOOKUP = 3
"""Cycles from an index to the parameter: address, memory, register."""
INDEX = 3
"""Cycles from a place to the index of its offset."""


def place(config: FrontConfig) -> data.StructLayout:
    """Where a value belongs: pixel x of its row, output channel."""
    return data.StructLayout(
        {
            "x": range(config.strips * config.columns),
            "channel": range(config.groups * config.columns),
        }
    )


class FrontAffine(wiring.Component):
    """y = clamp(v), v = (scale[c] * X + offset[c, border]) >> shift, or where there is one the two-slope function of v.

    Walks the strips of a row, the groups, pixels and channels on its own, from each i_finished on. Rate: one value a
    cycle; i_finished must come no faster than a group's columns * columns values.

    Members
    -------
    i_finished: a cycle later the sums of a group's first pixel are stored. o_handover: of the columns; i_sum: what they
    hand over, two cycles after it.
    o_valid, o_place, o_value: a value of the row; pixels beyond the row are left out. o_last: it is the row's last.
    """

    def __init__(self, config: FrontConfig, images: FrontImages) -> None:
        self.config, self.images = config, images
        super().__init__(
            {
                "i_finished": In(1),
                "o_handover": Out(handover(config)),
                "i_sum": In(signed(config.acc_width)),
                "o_valid": Out(1),
                "o_place": Out(place(config)),
                "o_last": Out(1),
                "o_value": Out(signed(config.value_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        found = self._walk(m)
        m.submodules.scale = product = Multiplier(c.acc_width, c.scale_width)
        scale = self._lookup(m, "scales", self.images.scales, c.scale_width, found.place.channel)
        flags = Cat(found.valid, found.place, found.last)
        index = delay(m, self._offset_index(m, found), Multiplier.latency - INDEX, "index")
        offset = self._lookup(m, "offsets", self.images.offsets, c.offset_width, index)
        m.d.comb += [
            product.a.eq(delay(m, self.i_sum, LOOKUP, "sum").as_signed()),
            product.b.eq(scale),
        ]
        total = Signal(signed(max(c.acc_width + c.scale_width, c.offset_width) + 1))
        below, above, inside = Signal(), Signal(), Signal(signed(c.value_width))
        m.d.sync += total.eq(product.o + offset)
        shifted = total >> c.shift
        if c.slope_width:
            shifted = self._slope(m, shifted, found.place.channel)
        m.d.sync += [
            below.eq(less(shifted, c.low)),
            above.eq(~less(shifted, c.high + 1)),
            inside.eq(shifted),
            self.o_value.eq(Mux(below, c.low, Mux(above, c.high, inside))),
        ]
        latency = LOOKUP + Multiplier.latency + 3 + (SLOPE if c.slope_width else 0)
        flags_out = delay(m, flags, latency, "flags")
        m.d.comb += Cat(self.o_valid, self.o_place, self.o_last).eq(flags_out)
        return m

    def _slope(self, m: Module, x: Value, channel: Value) -> Value:
        """The two-slope function of x, which is of ``channel`` when that is later by the affine step's cycles."""
        c, images = self.config, self.images
        affine = LOOKUP + Multiplier.latency + 1
        early = delay(m, channel, affine - LOOKUP, "slope_channel")
        pos = self._lookup(m, "pos", images.pos, c.slope_width, early)
        neg = self._lookup(m, "neg", images.neg, c.slope_width, early)
        held, slope = Signal(signed(c.pre_width)), Signal(signed(c.slope_width))
        m.d.sync += [held.eq(x), slope.eq(Mux(x[-1], neg, pos))]
        m.submodules.slope = product = Multiplier(c.pre_width, c.slope_width)
        m.d.comb += [product.a.eq(held), product.b.eq(slope)]
        late = delay(m, early, SLOPE - 1, "out_channel")
        offset = self._lookup(m, "out_offsets", images.out_offsets, c.out_offset_width, late)
        half = Const(1 << c.slope_shift >> 1, c.slope_shift + 1)
        total = Signal(signed(max(c.pre_width + c.slope_width, c.out_offset_width + c.slope_shift) + 1))
        m.d.sync += total.eq(product.o + (offset << c.slope_shift) + half)
        return total >> c.slope_shift

    def _offset_index(self, m: Module, found: data.View) -> Signal:
        """Index of the offset for a channel and border class, INDEX cycles later."""
        c = self.config
        border_y, border_x = (Signal(range(max(axis.count, 2))) for axis in (c.border_y, c.border_x))
        border = Signal(range(max(c.classes, 2)))
        index = Signal(range(c.groups * c.columns * c.classes))
        m.d.sync += [
            border_y.eq(border_class(found.row, *c.border_y.bounds())),
            border_x.eq(border_class(found.place.x, *c.border_x.bounds())),
            border.eq(times(border_y, c.border_x.count) + border_x),
            index.eq(times(delay(m, found.place.channel, 2, "channel"), c.classes) + border),
        ]
        return index

    def _walk(self, m: Module) -> data.View:
        """Of the sum that the columns hand over: whether it is of the row, its place, whether it is the row's last."""
        c = self.config
        starting, active = Signal(), Signal()
        pixel, out = Signal(range(max(c.columns, 2))), Signal(range(max(c.columns, 2)))
        last_pixel, last_out = pixel == c.columns - 1, out == c.columns - 1
        group, strip, row = (Signal(range(max(n, 2))) for n in (c.groups, c.strips, c.rows))
        where = Signal(place(c))
        first_x, first_channel = Signal.like(where.x), Signal.like(where.channel)  # of the strip, of the group
        ends = active & last_pixel & last_out
        m.d.sync += starting.eq(self.i_finished)
        m.d.comb += [
            self.o_handover.capture.eq(starting | (active & last_out & ~last_pixel)),
            self.o_handover.pixel.eq(Mux(starting, 0, pixel + 1)),
            where.x.eq(first_x + pixel),
            where.channel.eq(first_channel + out),
        ]
        found = Signal(data.StructLayout({"valid": 1, "place": place(c), "last": 1, "row": row.shape()}))
        m.d.sync += [
            found.valid.eq(active & (where.x < c.out_width) & (where.channel < c.outs)),
            found.place.eq(where),
            found.last.eq((where.x == c.out_width - 1) & (where.channel == c.outs - 1)),
            found.row.eq(row),
        ]
        with m.If(active):
            m.d.sync += out.eq(Mux(last_out, 0, out + 1))
            with m.If(last_out):
                m.d.sync += pixel.eq(Mux(last_pixel, 0, pixel + 1))
        with m.If(starting):
            m.d.sync += active.eq(1)
        with m.Elif(ends):
            m.d.sync += active.eq(0)
        last_group, last_strip, last_row = group == c.groups - 1, strip == c.strips - 1, row == c.rows - 1
        with m.If(ends):
            m.d.sync += [
                group.eq(Mux(last_group, 0, group + 1)),
                first_channel.eq(Mux(last_group, 0, first_channel + c.columns)),
            ]
            with m.If(last_group):
                m.d.sync += [
                    strip.eq(Mux(last_strip, 0, strip + 1)),
                    first_x.eq(Mux(last_strip, 0, first_x + c.columns)),
                ]
                with m.If(last_strip):
                    m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        return found

    def _lookup(self, m: Module, name: str, words: tuple[int, ...], width: int, index: Value) -> Signal:
        """words[index], LOOKUP cycles later."""
        masked = [word & ((1 << width) - 1) for word in words]
        m.submodules[name] = rom = ColumnMemory(width, len(words), init=masked)
        found = Signal(signed(width), name=f"{name}_found")
        m.d.sync += [rom.i_address.eq(index), found.eq(rom.o.as_signed())]
        m.d.comb += rom.i_enable.eq(1)
        return found
