"""Estimate of LUT4s, 18 kbit block RAMs and 18 x 18 multipliers of an engine, for choosing a shape.

The formulas follow the structure of hw/; their constants, all in this file, are fitted to placed designs. Block RAMs
and multipliers are counted the way the synthesiser maps them; LUT4s are good to some ten per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnnhw.compiler.plan.shape import Limits
from bnnhw.errors import DoesNotFitError
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.front import FrontConfig
from bnnhw.spec.jobs import ISSUE_FIELDS, VECTOR_FIELDS, job_layout, parts
from bnnhw.spec.layout import WordLayout
from bnnhw.spec.link import FIFO_BYTES, RECEIVER_BYTES, SENDER_BYTES, SLOTS
from bnnhw.spec.memory import REGISTERS, STREAM_FIFO, bank_words, block_rams, in_luts
from bnnhw.spec.multiplier import blocks
from bnnhw.spec.program import (
    Images,
    Widths,
    decode_layout,
    lane_layout,
    load_layout,
    param_bits,
    step_layout,
)
from bnnhw.spec.sdram import READ_WORDS, WRITE_WORDS
from bnnhw.spec.spill import spill_layout

LUT_PER_RAM_BIT = 1.5
"""16 words of a bit of LUT RAM, with their share of the write port."""
LUT_PER_ROM_BIT = 2.0
"""A bit of the words of a small read-only memory."""
LUT_PER_PRODUCT = 1.61
"""XNOR and popcount by carry chains ..."""
LUT_PER_ACC_BIT = 1.78
"""... and accumulator and drain of a PE."""
LUT_PER_ROW_BIT = 2.0
"""Selecting and masking an activation bit in front of the array."""
LUT_PER_MASK = 17.0
"""Bounds check of one slot of one row."""
LUT_PER_DECODED_BIT = 34.0
"""Selecting one weight bit of a codebook by its index."""
LUT_FRONT = 1500.0
"""Walkers, line buffer and pool of a front unit."""
LUT_SDRAM = 1500.0
"""Controller and players."""
LUT_SPILL = 1300.0
"""Spill unit, its storer for the front unit's map, and their ports."""
LUT_CONTROL = 3600.0
"""Sequencer, walkers, input windows, loaders, host link."""


@dataclass(frozen=True)
class Sizes:
    """Words of the read-only memories."""

    weights: int
    params: int

    @classmethod
    def of(cls, images: Images) -> Sizes:
        return cls(len(images.weights), len(images.params))


@dataclass(frozen=True)
class Resources:
    """Estimated need of an engine."""

    lut4: int
    bram18k: int
    dsp: int

    def over(self, limits: Limits) -> tuple[str, int, int] | None:
        """The resource that is exceeded most: its name, the need, the limit; None if all fit."""
        name, need, limit = max(self._pairs(limits), key=lambda p: p[1] / max(p[2], 1))
        return (name, need, limit) if need > limit else None

    def crowding(self, limits: Limits) -> float:
        """How full the chip is: the sum of the squares of the shares of its LUTs, block RAMs and multipliers. What
        takes most of one kind places worse than what takes some of each."""
        return sum((need / max(limit, 1)) ** 2 for _, need, limit in self._pairs(limits))

    def _pairs(self, limits: Limits) -> list[tuple[str, int, int]]:
        return [
            ("block RAMs", self.bram18k, limits.bram18k),
            ("LUT4s", self.lut4, limits.lut4),
            ("multipliers", self.dsp, limits.dsp),
        ]


def estimate(c: EngineConfig, sizes: Sizes) -> Resources:
    """Resources of an engine with carry-chain popcounts and all memories on chip."""
    luts, rams = 0.0, 0
    for memory in _memories(c, sizes):
        luts += memory.count * memory.luts
        rams += memory.count * memory.block_rams
    luts += array_luts(c.rows, c.cols, c.depth, c.acc_width) + LUT_CONTROL + c.lanes * _lane_luts(c)
    luts += c.rows * (LUT_PER_ROW_BIT * c.depth + LUT_PER_MASK * c.slots)
    luts += LUT_PER_DECODED_BIT * c.beat_bits if c.tau else 0
    luts += LUT_SDRAM if c.external is not None else 0
    luts += LUT_SPILL if c.spill is not None else 0
    dsps = c.lanes * _lane_dsps(c)
    if c.front is not None:
        luts += LUT_FRONT + c.front.columns * _column_luts(c.front)
        dsps += c.front.multipliers + blocks(c.front.acc_width, c.front.scale_width)
        dsps += blocks(c.front.pre_width, c.front.slope_width) if c.front.slope_width else 0
    return Resources(lut4=int(luts), bram18k=rams, dsp=dsps)


def array_luts(rows: int, cols: int, depth: int, acc_width: int) -> float:
    """LUT4s of an array."""
    return rows * cols * (LUT_PER_PRODUCT * depth + LUT_PER_ACC_BIT * acc_width)


def check_fits(name: str, c: EngineConfig, need: Resources, limits: Limits) -> None:
    """Raises DoesNotFitError if an engine for network ``name`` needs more than there is."""
    over = need.over(limits)
    if over is not None:
        raise DoesNotFitError(
            f"{over[0]} of network {name} on a {c.rows} x {c.cols} x {c.depth} array with {c.lanes} lanes must be "
            f"at most {over[2]}, not {over[1]}"
        )


@dataclass(frozen=True)
class _Memory:
    """``count`` memories; what they are made of is ``hw.memory.style``'s rule."""

    depth: int
    width: int
    count: int
    rom: bool = False

    @property
    def in_luts(self) -> bool:
        return in_luts(self.depth, self.width, rom=self.rom)

    @property
    def block_rams(self) -> int:
        return 0 if self.in_luts else block_rams(self.depth, self.width)

    @property
    def luts(self) -> float:
        if not self.in_luts:
            return 0.0
        if self.rom:
            return LUT_PER_ROM_BIT * self.width
        return self.width * (1.0 if self.depth <= REGISTERS else LUT_PER_RAM_BIT * -(-self.depth // 16))


def _memories(c: EngineConfig, sizes: Sizes) -> Sequence[_Memory]:
    """Every memory, the host link's last."""
    w, post = Widths.of(c), c.post
    subs = (c.subs - 1).bit_length()
    if c.front is None:
        image = [
            _Memory(2 << w.input_addr, c.input.used, c.rows),
            _Memory(c.input.height * c.input.width, 8 * c.input.channels, 1),
        ]
    else:
        image = _front_memories(c.front)
    if c.external is None:
        streams = [
            _Memory(sizes.weights, c.beat_bits, 1, rom=True),
            _Memory(sizes.params, param_bits(c), 1, rom=True),
            _Memory(STREAM_FIFO, c.beat_bits + param_bits(c), 1),
        ]
    else:
        streams = [_Memory(READ_WORDS, WORD, 2)]
    return [
        *image,
        *streams,
        _Memory(c.bit_words, c.lanes * c.bank_slots, c.rows * c.slots // c.bank_slots),
        *_values(c),
        *_spill(c),
        _Memory(2 << w.weight, c.beat_bits, c.cols // c.fetch),
        _words(c.jobs, job_layout(c).only(ISSUE_FIELDS)),
        _words(c.jobs, job_layout(c).only(VECTOR_FIELDS)),
        _words(c.jobs, load_layout(c)),
        _Memory(c.steps, step_layout(c).width, 1, rom=True),
        _Memory(c.decodes, decode_layout(c).width, 1 if c.tau else 0, rom=True),
        _Memory(2 << (subs + w.classes), post.entry_width, c.lanes),
        _Memory(2 << subs, lane_layout(c).width, c.lanes),
        *[_Memory(size, 8, 1) for size in (RECEIVER_BYTES, SENDER_BYTES, FIFO_BYTES, FIFO_BYTES)],
        _Memory(SLOTS << max(c.scores - 1, 1).bit_length(), post.value_width, 1),
    ]


def _words(jobs: int, layout: WordLayout) -> _Memory:
    """A memory that is read part by part; bits that are alike, which are stored once, are counted too."""
    count, bits = parts(layout.width)
    return _Memory(jobs * count, bits, 1, rom=True)


def _values(c: EngineConfig) -> list[_Memory]:
    """Banks of the value memory, and that of gates."""
    depth, width = max(c.value_words, 2), c.lanes * c.post.value_width
    size = bank_words(depth, width)
    banks = [_Memory(min(size, depth - first), width, 1) for first in range(0, depth, size)]
    return [*banks, *[_Memory(c.gate_words, width, 1)] * bool(c.gate_words)]


def _spill(c: EngineConfig) -> list[_Memory]:
    """Rings of spilled maps, what is moved for each job, and the ports' FIFOs."""
    if c.spill is None:
        return []
    rings = [size for size in (c.spill.load_words, c.spill.store_words, c.spill.front_words) if size]
    stores = len(rings) - 1
    return [
        *[_Memory(size, c.lanes * c.post.value_width, 1) for size in rings],
        _words(c.spill.jobs, spill_layout(c)),
        _Memory(READ_WORDS, WORD, 1),
        _Memory(WRITE_WORDS, WORD + 2, stores),
    ]


def _front_memories(f: FrontConfig) -> list[_Memory]:
    """Lines of the image, weights and parameters, running maxima, results on their way to the memories."""
    channels = f.groups * f.columns
    queued = f.lanes * (1 if f.spilled else f.value_width)
    vector = queued + (f.pool_width - 1).bit_length() + (f.outs // f.lanes - 1).bit_length()
    return [
        _Memory(f.lines // f.banks * f.line_bytes, 8, f.banks),
        _Memory(channels * f.taps, f.window.kernel * f.weight_bits, 1, rom=True),
        _Memory(channels, f.scale_width, 1, rom=True),
        _Memory(channels * f.classes, f.offset_width, 1, rom=True),
        *[_Memory(channels, width, 1, rom=True) for width in (*[f.slope_width] * 2, f.out_offset_width) if width],
        _Memory(f.pool_width * channels, f.value_width, 1),
        _Memory(f.fifo_words, vector, 1),
    ]


def _column_luts(f: FrontConfig) -> float:
    """Adder tree, sums in LUT RAM with their adder, hand-over."""
    tree = (f.window.kernel - 1) * (9 + f.weight_bits + 2)
    return tree + f.acc_width * (2 + 2 * LUT_PER_RAM_BIT * -(-f.columns // 16))


def _lane_luts(c: EngineConfig) -> float:
    """Adders, shift selections, clamp and comparison of one lane."""
    p = c.post
    luts = 2.0 * (p.offset_width + 2) * (1 + bool(p.sum_scale_width)) + (len(p.shifts) - 1) * p.pre_width
    luts += c.x_width if p.border_width else 0
    luts += 2 * p.pre_width + 5 * p.value_width + p.value_width * max(0, len(p.code_shifts) - 1)
    luts += c.subs * (c.acc_width if c.subs > 1 else 0) + c.acc_width
    if p.slope_width:
        luts += 2 * (p.slope_width + p.pre_width) + p.slope_width + 2 * p.value_width * p.late_residual
    if c.pool_modes:
        luts += 2 * c.pool_width * len(c.pool_modes) + len(c.folds) * 2 * p.value_width
    luts += 2 * (p.gate_width + p.value_width) if p.gate_width else 0
    luts += p.value_width if p.second else 0
    return luts


def _item_width(c: EngineConfig) -> int:
    """Signed width of the channels' sum that a weighted pool multiplies."""
    return c.post.value_width + (max((1, *c.folds)) - 1).bit_length()


def _lane_dsps(c: EngineConfig) -> int:
    p = c.post

    dsps = blocks(c.x_width, p.scale_width)
    dsps += blocks(c.sum_width + 1, p.sum_scale_width) if p.sum_scale_width else 0
    dsps += blocks(p.pre_width, p.slope_width) if p.slope_width else 0
    dsps += blocks(p.gate_width, p.value_width) if p.gate_width else 0
    return dsps + (blocks(_item_width(c), c.pool_weight_width) if c.pool_weight_width else 0)


__all__ = ["Resources", "Sizes", "check_fits", "estimate"]
