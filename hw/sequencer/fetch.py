"""Fetch: turns issued steps into memory reads, masks taps outside the map, and aligns operands with their control."""

from __future__ import annotations

from amaranth import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import times
from bnnhw.hw.delay import chain
from bnnhw.hw.layouts import struct
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.pool.reader import parts
from bnnhw.hw.sequencer.issue import issued_step
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import FETCH_FIELDS, job_layout
from bnnhw.spec.program import CONV_INPUT, POOL, Images, Widths, step_layout
from bnnhw.spec.timing import FETCH, POOL_FETCH


class Fetch(wiring.Component):
    """Reads step words, forms addresses and masks, and delivers one operand set per issued step.

    Rate: a step a cycle, no back-pressure. Latency: ``latency`` cycles from i_valid to o_valid, spec.timing.POOL_FETCH
    to o_pool_valid.

    Members
    -------
    i_valid, i_step, i_pass: from the issue unit.
    o_address: read address of every slot's activation banks (the same in all rows); o_input_address,
    o_value_address, o_weight_address ({word, bank}): of the input windows, value memory and weight buffer. These
    memories answer after two cycles at i_bits (rows x depth), i_input (rows x depth), i_weights, and after four at
    i_value.
    o_act: operands, masked. o_weights. o_valid, o_shift, o_last: control of the array, aligned with o_act.
    o_pool_valid, o_pool_first, o_pool_last, o_pool_ok (tap inside the map), o_pool_max: for the pool reader, a cycle
    before o_value.
    o_pool_part: which of its words a folded pool's step reads, how many there are, and whether the value is multiplied
    by o_weights, which come a cycle before o_value, too.
    o_pool_read: a pool read is on o_value_address; o_value_ring: of the ring of loaded rows.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        w, c = Widths.of(config), config
        rows = data.ArrayLayout(unsigned(c.depth), c.rows)
        columns = data.ArrayLayout(unsigned(c.depth), c.cols)
        value = unsigned(c.lanes * c.post.value_width)
        super().__init__(
            {
                "i_valid": In(1),
                "i_step": In(issued_step(config)),
                "i_pass": In(struct(job_layout(config).only(FETCH_FIELDS))),
                "o_address": Out(data.ArrayLayout(unsigned(w.bit_addr), c.slots)),
                "o_input_address": Out(w.input_addr),
                "o_value_address": Out(w.value_addr),
                "o_weight_address": Out(w.weight + 1),
                "i_bits": In(rows),
                "i_input": In(rows),
                "i_value": In(value),
                "i_weights": In(columns),
                "o_act": Out(rows),
                "o_weights": Out(columns),
                "o_valid": Out(1),
                "o_shift": Out(1),
                "o_last": Out(1),
                "o_pool_read": Out(1),
                "o_value_ring": Out(1),
                "o_pool_valid": Out(1),
                "o_pool_first": Out(1),
                "o_pool_last": Out(1),
                "o_pool_ok": Out(1),
                "o_pool_max": Out(1),
                "o_pool_part": Out(parts(config)),
                "o_value": Out(value),
            }
        )

    latency = FETCH
    """Step word, step register, address, address at the memory, memory, operand register."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        layout = struct(step_layout(c))
        m.submodules.rom = rom = ColumnMemory(layout.size, c.steps, init=self.images.steps)
        m.d.comb += [rom.i_enable.eq(1), rom.i_address.eq(self.i_step.step)]

        # Stage 1: the step memory answers. Stage 2: step word and position in registers.
        position = Signal(self.i_step.shape())
        at = Signal(self.i_step.shape())
        word = Signal(layout)
        valid = [self.i_valid] + [Signal(name=f"valid_{i}") for i in range(1, POOL_FETCH + 1)]
        m.d.sync += [valid[i + 1].eq(valid[i]) for i in range(POOL_FETCH)]
        m.d.sync += [position.eq(self.i_step), at.eq(position), word.eq(rom.o)]
        fields = Signal(self.i_pass.shape())  # i_pass is one cycle behind the issue; this one two
        m.d.sync += fields.eq(self.i_pass)

        is_input = self._control(m, fields, at, word, valid)
        masks = self._addresses(m, fields, at, word, is_input)
        self._operands(m, masks, self._parts(m, word, is_input))
        return m

    def _addresses(self, m: Module, fields: data.View, at: data.View, word: data.View, is_input: Value) -> Signal:
        """Stage 3: addresses; stages 3 to 5: masks of map taps (one bit per row and slot), in time with the memories'
        answers."""
        c, w = self.config, Widths.of(self.config)
        row_ok = Signal(c.enables)
        own = c.enables // c.reads
        columns = [Signal(signed(w.position + 2), name=f"column_{s}") for s in range(c.reads)]
        masks = Signal(c.rows * c.slots)
        masked = Signal(c.rows * c.slots)
        addresses = []
        for s in range(c.reads):
            y = Signal(signed(w.position + 2), name=f"y_{s}")
            m.d.comb += y.eq(at.y + word[f"dy{s}"])
            m.d.sync += [
                *[
                    row_ok[e].eq(word[f"en{e}"] & (y >= 0) & (y < fields.in_height))
                    for e in range(s * own, s * own + own)
                ],
                columns[s].eq(at.x + word[f"dx{s}"]),
            ]
            address = Signal(w.source, name=f"address_{s}")
            m.d.sync += address.eq(at.base + word[f"offset{s}"])
            addresses.append(address)
        alike = c.slots // c.reads
        m.d.comb += [self.o_address[s].eq(addresses[s // alike]) for s in range(c.slots)]
        m.d.comb += [self.o_input_address.eq(addresses[0]), self.o_value_address.eq(addresses[0])]
        m.d.sync += self.o_weight_address.eq(Cat(word.weight, at.bank))

        # i_pass.in_strip settles two cycles before the first step of its pass reaches stage 3.
        for r in range(c.rows):
            low, high = (Signal(signed(w.position + w.row + 2), name=f"{n}_{r}") for n in ("low", "high"))
            start = times(fields.in_strip, r)
            m.d.sync += [low.eq(-start), high.eq(fields.in_width - start)]
            inside = [row_ok[e] & (columns[e // own] >= low) & (columns[e // own] < high) for e in range(c.enables)]
            m.d.sync += [masks[r * c.slots + s].eq(inside[s * c.enables // c.slots]) for s in range(c.slots)]
        m.d.sync += masked.eq(Mux(is_input, 0, masks))
        return masked

    def _control(self, m: Module, fields: data.View, at: data.View, word: data.View, valid: list[Signal]) -> Value:
        """Control of the array and the pool reader; whether a step of stage 4 reads input windows."""
        control = data.StructLayout(
            {"kind": 2, "max": 1, "first": 1, "last": 1, "shift": 1, "part": parts(self.config)}
        )
        stages = [Signal(control, name=f"control_{i}") for i in range(3, POOL_FETCH + 1)]
        m.d.sync += [
            stages[0].kind.eq(fields.kind),
            stages[0].max.eq(fields.pool_max),
            stages[0].first.eq(at.first),
            stages[0].last.eq(at.last),
            stages[0].shift.eq(word.shift),
        ]
        for name, source in (("part", word), ("fold", fields), ("weighted", fields)):
            if name in source.shape().members:
                m.d.sync += stages[0].part[name].eq(source[name])
        chain(m, stages)
        m.d.sync += self.o_pool_valid.eq(valid[POOL_FETCH - 2] & (stages[POOL_FETCH - 5].kind == POOL))
        now, pool = stages[self.latency - 3], stages[POOL_FETCH - 4]
        m.d.comb += [
            self.o_pool_read.eq(valid[3] & (stages[0].kind == POOL)),
            self.o_valid.eq(valid[self.latency] & (now.kind != POOL)),
            self.o_last.eq(self.o_valid & now.last),
            self.o_shift.eq(now.shift),
            self.o_pool_first.eq(pool.first),
            self.o_pool_last.eq(pool.last),
            self.o_pool_max.eq(pool.max),
            self.o_pool_part.eq(pool.part),
        ]
        if self.config.spill is not None:
            m.d.sync += self.o_value_ring.eq(fields.src_ring)
        return stages[1].kind == CONV_INPUT

    def _parts(self, m: Module, word: data.View, is_input: Value) -> Signal:
        """Stage 5: which parts of an input window count, none of what comes from the activation memory."""
        parts = [Signal(self.config.input.parts, name=f"parts_{stage}") for stage in (3, 4, 5)]
        enabled = Cat(word[f"en{part}"] for part in range(min(self.config.input.parts, self.config.enables)))
        m.d.sync += [parts[0].eq(enabled), parts[1].eq(parts[0]), parts[2].eq(Mux(is_input, parts[1], 0))]
        return parts[2]

    def _operands(self, m: Module, masks: Signal, parts: Signal) -> None:
        """Stage 5: memories answer, masks are ready; stage 6: both in registers; values come from their memory's."""
        c = self.config
        bits, windows = Signal(self.i_bits.shape()), Signal(self.i_input.shape())
        m.d.sync += [bits.eq(self.i_bits), windows.eq(self.i_input), self.o_weights.eq(self.i_weights)]
        m.d.comb += self.o_value.eq(self.i_value)
        taps, used = Signal.like(masks), Signal.like(parts)
        m.d.sync += [taps.eq(masks), used.eq(parts)]
        m.d.comb += self.o_pool_ok.eq(taps[0])
        size, unused = c.input.used // c.input.parts, c.depth - c.input.used
        stored = Cat(C(0, unused), *(part.replicate(size) for part in used))
        for r in range(c.rows):
            keep = Cat(taps[r * c.slots + s].replicate(c.lanes) for s in range(c.slots))
            m.d.comb += self.o_act[r].eq((windows[r] & stored) | (bits[r] & keep))
