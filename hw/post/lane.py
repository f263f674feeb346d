"""One post-processing lane: the arithmetic of a layer's output for one channel, pipelined."""

from __future__ import annotations

from collections.abc import Callable

from amaranth import Array, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.delay import delay
from bnnhw.hw.layouts import struct
from bnnhw.hw.multiplier import Multiplier
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.program import lane_layout
from bnnhw.spec.timing import BORDER, EARLY


class Stages:
    """At which pipeline stage a lane takes what; stage n is n cycles after the vector left the walker.

    x is taken at ``source``, a and the scales at ``scale``, the entry of the border class at ``entry``, the residual at
    ``offset``, and so on; y comes out at ``result``, the bit at ``bit``. ``records``: at which stage each parameter of
    the lane is taken.
    """

    def __init__(self, config: EngineConfig) -> None:
        border = bool(config.post.border_width)
        self.scale = 1 + EARLY + BORDER * border
        self.source = self.scale - border
        self.shift = self.scale + Multiplier.latency + 2  # the sum of product, activation sum and offset
        self.offset = self.shift - 2
        self.entry = self.source if border else self.offset
        self.in_offset = self.shift - 1
        self.slope = self.shift + 1  # z
        self.out_offset = self.slope + 1 + Multiplier.latency
        self.gate = self.out_offset + 2 if config.post.slope_width else self.slope
        self.clamp = self.gate + Multiplier.latency + 2 if config.post.gate_width else self.gate
        self.result = self.clamp + 2
        self.codes = bool(config.post.code_shifts)
        self.bit = self.result + (2 if self.codes else 1)
        self.records = {
            "offset": self.offset,
            "scale": self.scale,
            "sum_scale": self.scale,
            "in_offset": self.in_offset,
            "pos": self.slope,
            "neg": self.slope,
            "out_offset": self.out_offset - config.post.late_residual,  # which is added to it
            "gate_offset": self.gate + Multiplier.latency,
            "threshold": self.result,
        }


def lane_fields(config: EngineConfig) -> data.StructLayout:
    """The pass fields that lanes use."""
    names = (
        "shift",
        "slope_shift",
        "code_shift",
        "low",
        "high",
        "residual",
        "late",
        "codes",
        "last_plane",
        "second",
        "gate",
    )
    return struct(job_layout(config).only(names))


def pick(values: tuple[int, ...], index: Value | int, of: Callable[[int], Value]) -> Value:
    """of(values[index]): the alternatives side by side, selected; a single one needs no selection."""
    choices = [of(v) for v in values]
    return choices[0] if len(choices) == 1 else Array(choices)[index]


class Lane(wiring.Component):
    """v = (scale * x + sum_scale * a + offset) >> shift, with the entry of the border class added to x, or in place of
    the offset; z = v + residual + in_offset; in a second turn (i_again) with the first turn's residual added, too;
    u = ((pos if z >= 0 else neg) * z + half + (out_offset << s)) >> s, or z without slopes; a late residual is added to
    out_offset instead of to v;
    y = clamp((gate * u + half + (gate_offset << g)) >> g), or clamp(u) without a gate;
    bit = y >= threshold, or a bit of the code.

    The first shift's half is part of ``offset``. Rate: one a cycle, no back-pressure. Latency: see ``Stages``; the
    caller presents every input at its stage. Sums never overflow: the widths hold every value the compiler admits.

    Members
    -------
    i_x: mismatch count or pooled value; i_a: activation sum. i_record: parameters, each at its stage in
    ``Stages.records``. i_entry, i_residual, i_again (with the residual), i_gate. i_fields[k]: pass fields at stage
    ``field_stages[k]``. i_plane: at ``bit`` - 1. o_y, o_bit.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config, self.stages = config, Stages(config)
        c, p, s = config, config.post, self.stages
        record, fields = struct(lane_layout(c)), lane_fields(c)
        stages = {s.offset, s.shift, s.clamp, s.result, s.bit - 1}
        if p.slope_width:
            stages |= {s.out_offset, s.gate - 1}
        if p.gate_width:
            stages |= {s.clamp - 1}
        self.field_stages = sorted(stages)
        super().__init__(
            {
                "i_x": In(signed(c.x_width)),
                "i_a": In(unsigned(c.sum_width)),
                "i_entry": In(signed(p.entry_width)),
                "i_residual": In(signed(p.value_width)),
                "i_again": In(1),
                "i_gate": In(signed(p.value_width)),
                "i_plane": In(unsigned(max(p.code_planes - 1, 1).bit_length())),
                "o_y": Out(signed(p.value_width)),
                "o_bit": Out(1),
                "i_record": In(record),
                "i_fields": In(fields).array(len(self.field_stages)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        z = self._affine(m)
        y = self._slope(m, z) if self.config.post.slope_width else z
        y = self._gate(m, y) if self.config.post.gate_width else y
        self._publish(m, y)
        return m

    def _fields(self, stage: int) -> data.View:
        """The pass fields as they are at a stage."""
        return self.i_fields[self.field_stages.index(stage)]

    def _affine(self, m: Module) -> Signal:
        """From ``source`` to ``slope``: z."""
        p, record = self.config.post, self.i_record
        total_shape = signed(p.offset_width + 2)

        x = self.i_x
        if p.border_width:
            x = Signal.like(self.i_x)
            m.d.sync += x.eq(self.i_x + self.i_entry)
        m.submodules.scale = scale = Multiplier(self.config.x_width, p.scale_width)
        m.d.comb += [scale.a.eq(x), scale.b.eq(record.scale)]
        parts, total = Signal(total_shape), Signal(total_shape)
        offset = Signal(signed(p.offset_width))
        m.d.sync += [parts.eq(scale.o), total.eq(parts + offset)]
        m.d.sync += offset.eq(record.offset if p.border_width else self.i_entry)
        if p.sum_scale_width:
            m.submodules.sum_scale = sum_scale = Multiplier(self.config.sum_width + 1, p.sum_scale_width)
            m.d.comb += [sum_scale.a.eq(self.i_a), sum_scale.b.eq(record.sum_scale)]
            m.d.sync += parts.eq(scale.o + sum_scale.o)

        addend: Value = Const(0)
        if p.residual:
            residual, fields = Signal(signed(p.value_width)), self._fields(self.stages.offset)
            early = fields.residual & ~fields.late if p.late_residual else fields.residual
            if p.second:
                early = Mux(self.i_again, fields.second, early)
            m.d.sync += residual.eq(Mux(early, self.i_residual, 0))
            addend = residual
            if p.second:
                first, again = Signal.like(residual), Signal()
                m.d.sync += [first.eq(residual), again.eq(self.i_again)]
                addend = residual + Mux(again, first, 0)
        if p.residual or p.in_offset_width:
            inner = Signal(signed(max(p.value_width + p.second, p.in_offset_width) + 1))
            m.d.sync += inner.eq(addend + (record.in_offset if p.in_offset_width else 0))
            addend = inner
        z = Signal(signed(p.pre_width))
        fields = self._fields(self.stages.shift)
        m.d.sync += z.eq(pick(p.shifts, _index(fields, "shift"), lambda s: total >> s) + addend)
        return z

    def _slope(self, m: Module, z: Signal) -> Signal:
        """From ``slope`` to ``gate``: the two-slope function."""
        p, record = self.config.post, self.i_record
        slope, held = Signal(signed(p.slope_width)), Signal.like(z)
        m.d.sync += [slope.eq(Mux(z[-1], record.neg, record.pos)), held.eq(z)]
        m.submodules.slope = product = Multiplier(p.pre_width, p.slope_width)
        m.d.comb += [product.a.eq(held), product.b.eq(slope)]

        offset: Value | None = record.out_offset if p.out_offset_width else None
        if p.late_residual:
            offset = Signal(signed(max(p.value_width, p.out_offset_width) + 1))
            m.d.sync += offset.eq(self._late(m) + (record.out_offset if p.out_offset_width else 0))

        def constant(s: int) -> Value:
            half = Const(1 << s >> 1, s + 1)
            return half if offset is None else (offset << s) + half

        fields = self._fields(self.stages.out_offset)
        width = max(p.slope_width + p.pre_width, (0 if offset is None else len(offset)) + max(p.slope_shifts)) + 1
        total = Signal(signed(width))
        m.d.sync += total.eq(product.o + pick(p.slope_shifts, _index(fields, "slope_shift"), constant))
        y = Signal(signed(width - min(p.slope_shifts)))
        fields = self._fields(self.stages.gate - 1)
        m.d.sync += y.eq(pick(p.slope_shifts, _index(fields, "slope_shift"), lambda s: total >> s))
        return y

    def _gate(self, m: Module, y: Signal) -> Signal:
        """From ``gate`` to ``clamp``: the product with the channel's gate, where the layer has gates."""
        p, record = self.config.post, self.i_record
        m.submodules.gate = product = Multiplier(p.gate_width, p.value_width)
        m.d.comb += [product.a.eq(y), product.b.eq(self.i_gate)]
        constant: Value = Const(1 << p.gate_shift >> 1, p.gate_shift + 1)
        if p.gate_offset_width:
            constant = (record.gate_offset << p.gate_shift) + constant
        total = Signal(signed(max(p.gate_width + p.value_width, p.gate_offset_width + p.gate_shift) + 1))
        m.d.sync += total.eq(product.o + constant)
        result = Signal(signed(max(len(y), len(total) - p.gate_shift)))
        plain = delay(m, y, Multiplier.latency + 1, "plain").as_signed()
        m.d.sync += result.eq(Mux(self._fields(self.stages.clamp - 1).gate, total >> p.gate_shift, plain))
        return result

    def _late(self, m: Module) -> Value:
        """A late residual, taken at ``offset``, when ``out_offset`` is."""
        s, fields = self.stages, self._fields(self.stages.offset)
        taken = Signal(signed(self.config.post.value_width))
        m.d.sync += taken.eq(Mux(fields.residual & fields.late, self.i_residual, 0))
        return delay(m, taken, s.records["out_offset"] - (s.offset + 1), "late").as_signed()

    def _publish(self, m: Module, y: Signal) -> None:
        """Clamp, then the bit: threshold or one plane of the code."""
        p, s = self.config.post, self.stages
        fields = self._fields(s.clamp)
        value = signed(p.value_width)
        low, middle, high = (Signal(value, name=name) for name in ("low", "middle", "high"))
        below, above = Signal(), Signal()
        m.d.sync += [low.eq(fields.low), middle.eq(y), high.eq(fields.high)]
        m.d.sync += [below.eq(y < fields.low), above.eq(y > fields.high)]
        m.d.sync += self.o_y.eq(Mux(below, low, Mux(above, high, middle)))
        reached = self.o_y >= self.i_record.threshold
        if not s.codes:
            m.d.sync += self.o_bit.eq(reached)
            return
        was_reached = Signal()
        rounded = Signal(signed(p.value_width + 2))
        fields = self._fields(s.result)
        m.d.sync += was_reached.eq(reached)
        m.d.sync += rounded.eq(
            pick(p.code_shifts, _index(fields, "code_shift"), lambda n: (self.o_y + (1 << n >> 1)) >> n)
        )
        fields = self._fields(s.bit - 1)
        overflow = Signal()
        planes = min(p.code_planes, len(rounded) - 1)
        for last in range(planes):
            with m.If(fields.last_plane == last):
                m.d.comb += overflow.eq(rounded[last + 1 :].any())
        code_bit = ~rounded[-1] & (overflow | rounded[:planes].bit_select(self.i_plane, 1))
        m.d.sync += self.o_bit.eq(Mux(fields.codes, code_bit, was_reached))


def _index(fields: data.View, name: str) -> Value | int:
    """A selection field, or 0 where there is nothing to select."""
    layout = fields.shape()
    return fields[name] if name in layout.members else 0
