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
from bnnhw.spec.memory import block_rams
from bnnhw.spec.multiplier import blocks
from bnnhw.spec.program import (
    Images,
    Widths,
    decode_layout,
    lane_layout,
    load_layout,
    param_bits,
    pass_layout,
    step_layout,
)

LUT_RAM_DEPTH = 32
"""Memories up to this depth become LUTs ..."""
LUT_PER_RAM_BIT = 1.5 / 16
"""... at this price for each bit, in banks of 16."""
LUT_PER_MAC = 2.5
"""XNOR and popcount by carry chains, with its share of accumulators and drain."""
LUT_PER_ROW_BIT = 2.0
"""Selecting and masking an activation bit in front of the array."""
LUT_PER_MASK = 6.0
"""Bounds check of one slot of one row."""
LUT_PER_DECODED_BIT = 12.0
"""Selecting one weight bit of a codebook by its index."""
LUT_CONTROL = 3000.0
"""Sequencer, walkers, input windows, loaders."""


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
        pairs = [
            ("block RAMs", self.bram18k, limits.bram18k),
            ("LUT4s", self.lut4, limits.lut4),
            ("multipliers", self.dsp, limits.dsp),
        ]
        name, need, limit = max(pairs, key=lambda p: p[1] / max(p[2], 1))
        return (name, need, limit) if need > limit else None


def estimate(c: EngineConfig, sizes: Sizes) -> Resources:
    """Resources of an engine with carry-chain popcounts and all memories on chip."""
    memories = _memories(c, sizes)
    luts = LUT_PER_MAC * c.macs_per_cycle + LUT_CONTROL + c.lanes * _lane_luts(c)
    luts += c.rows * (LUT_PER_ROW_BIT * c.depth + LUT_PER_MASK * c.slots)
    luts += LUT_PER_DECODED_BIT * c.beat_bits if c.tau else 0
    luts += sum(n * _ram_luts(depth, width) for depth, width, n in memories if depth <= LUT_RAM_DEPTH)
    return Resources(
        lut4=int(luts),
        bram18k=sum(n * block_rams(depth, width) for depth, width, n in memories if depth > LUT_RAM_DEPTH),
        dsp=c.lanes * _lane_dsps(c),
    )


def check_fits(name: str, c: EngineConfig, need: Resources, limits: Limits) -> None:
    """Raises DoesNotFitError if an engine for network ``name`` needs more than there is."""
    over = need.over(limits)
    if over is not None:
        raise DoesNotFitError(
            f"{over[0]} of network {name} on a {c.rows} x {c.cols} x {c.depth} array with {c.lanes} lanes must be "
            f"at most {over[2]}, not {over[1]}"
        )


def _memories(c: EngineConfig, sizes: Sizes) -> Sequence[tuple[int, int, int]]:
    """(depth, width, how many) of every memory."""
    w, post = Widths.of(c), c.post
    used = c.input.chunk_taps * c.input.channels
    subs = (c.subs - 1).bit_length()
    return [
        (c.bit_words, c.lanes, c.rows * c.slots),
        (2 * c.input.words, used, c.rows),
        (c.input.height * c.input.width, 8 * c.input.channels, 1),
        (c.value_words, c.lanes * post.value_width, 1),
        (2 << w.weight, c.beat_bits, c.cols // c.fetch),
        (sizes.weights, c.beat_bits, 1),
        (sizes.params, param_bits(c), 1),
        (c.passes, pass_layout(c).width, 2),
        (c.passes, load_layout(c).width, 1),
        (c.steps, step_layout(c).width, 1),
        (c.decodes, decode_layout(c).width, 1 if c.tau else 0),
        (2 << (subs + w.classes), post.offset_width, c.lanes),
        (2 << subs, lane_layout(c).width, c.lanes),
    ]


def _ram_luts(depth: int, width: int) -> float:
    return LUT_PER_RAM_BIT * width * -(-depth // 16) * 16


def _lane_luts(c: EngineConfig) -> float:
    """Adders, shift selections, clamp and comparison of one lane."""
    p = c.post
    luts = 2.0 * (p.offset_width + 2) * (1 + bool(p.sum_scale_width)) + (len(p.shifts) - 1) * p.pre_width
    luts += 2 * p.pre_width + 5 * p.value_width + p.value_width * max(0, len(p.code_shifts) - 1)
    luts += c.subs * (c.acc_width if c.subs > 1 else 0) + c.acc_width
    if p.slope_width:
        luts += 2 * (p.slope_width + p.pre_width) + p.slope_width
    if c.pool_modes:
        luts += 2 * c.pool_width * len(c.pool_modes)
    return luts


def _lane_dsps(c: EngineConfig) -> int:
    p = c.post

    dsps = blocks(max(c.acc_width + 1, c.pool_width), p.scale_width)
    dsps += blocks(c.sum_width + 1, p.sum_scale_width) if p.sum_scale_width else 0
    return dsps + (blocks(p.pre_width, p.slope_width) if p.slope_width else 0)


__all__ = ["Resources", "Sizes", "check_fits", "estimate"]
