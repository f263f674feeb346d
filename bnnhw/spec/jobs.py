"""Layout of job descriptors: what the engine does one after the other, and how the passes of a job differ.

A frame is a list of *jobs*, in the order of their words. A job is ``last_pass`` + 1 passes that play the same steps at
the same positions, each for the channel groups that follow those of the one before. A job's first step waits until
every output of earlier jobs is stored. In pass n of a job these fields of its word become (wrapping at their widths):

  base            base + min(n, last_filled) // (repeat + 1) * d_pass
  residual        0 if n > last_residual
  res_base        res_base + (n % (res_tile + 1)) * groups, or ... * res_dpass where maps are spilled
  sec_base        the same of sec_tile; groups, or sec_dpass where second residuals are spilled
  gate_base       gate_base + n * groups
  second          0 if n > last_second
  val_base        val_base + n * groups, or n * val_dpass
  bits            0 if n > last_filled
  slot, bit_base  s % slots and bit_base + n * bit_dpass + s // slots, where s = slot + n * slot_dpass
"""

from __future__ import annotations

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import row_width
from bnnhw.spec.layout import BitField, WordLayout
from bnnhw.spec.program import Widths

WALK_FIELDS = ("last_y", "last_lx", "last_r", "drain", "kind", "last_pass", "last_filled")
"""Fields that both units which follow a job's passes and positions need."""
FETCH_FIELDS = ("kind", "pool_max", "fold", "weighted", "in_height", "in_width", "in_strip", "src_ring")
"""Fields that decide where operands come from."""
ISSUE_FIELDS = (
    *WALK_FIELDS,
    *FETCH_FIELDS,
    *("final", "step_first", "step_last", "base", "d_lx", "d_y", "d_r", "d_pass", "repeat", "stride", "pad", "pace"),
    "front_rows",
    "spill",
)
"""Fields of the unit that issues steps."""
CARRIED_FIELDS = (
    "shift", "slope_shift", "code_shift", "low", "high", "residual", "late", "value", "score", "bits", "codes",
    "last_plane", "spill", "res_ring", "sec_ring", "val_ring", "second", "gate", "val_gate",
)  # fmt: skip
"""Fields that travel with a vector through the post-processor."""
VECTOR_FIELDS = (
    *WALK_FIELDS,
    *CARRIED_FIELDS,
    *("out_width", "strip", "y_low", "y_high", "y_inner", "x_low", "x_high", "x_inner", "x_count"),
    *("last_residual", "res_base", "res_dx", "res_dr", "res_dy", "groups", "val_base", "val_dx", "val_dr", "val_dy"),
    *("bit_base", "bit_dx", "bit_dy", "bit_dplane", "bit_strip", "bit_dstrip", "bit_q", "bit_rem", "bit_drem"),
    *("halo_low", "halo_high", "spread", "slot", "bit_dpass", "slot_dpass", "res_dpass", "val_dpass"),
    *("res_tile", "sec_tile", "last_second", "sec_base", "sec_dx", "sec_dr", "sec_dy", "sec_dpass", "gate_base"),
)
"""Fields of the unit that makes vectors of captured tiles."""

PART_BITS = 36
"""A unit's fields lie in a narrow memory and are read part by part: a part has at most so many bits."""


def parts(width: int) -> tuple[int, int]:
    """How many parts a word is read in, the lowest bits first, and the bits of each."""
    count = max(1, -(-width // PART_BITS))
    return count, max(1, -(-width // count))


def job_layout(c: EngineConfig) -> WordLayout:
    """One job descriptor."""
    w = Widths.of(c)
    return WordLayout((*_jobs(c, w), *_steps(c, w), *_outputs(c, w), *_lanes(c, w), *_bits(c, w)))


def _index(n: int) -> int:
    return (max(n, 1) - 1).bit_length()


def _jobs(c: EngineConfig, w: Widths) -> tuple[BitField, ...]:
    f, spill = BitField, int(c.spill is not None)
    return (
        f("kind", 2, doc="CONV_BITS, CONV_INPUT or POOL"),
        f("final", 1, doc="last job of the frame"),
        f("last_pass", w.passes, doc="passes - 1"),
        f("last_filled", w.passes, doc="last pass with channels: those behind read its source and store no bits"),
        f("pool_max", 1, doc="pool by maximum instead of sum"),
        f("fold", _index(len(c.folds) + 1), doc="0, or 1 + index into EngineConfig.folds"),
        f("weighted", int(c.pool_weight_width > 0), doc="pooled values are multiplied by weights"),
        f("front_rows", row_width(c.front) if c.front else 0, doc="rows of the next first map that may be stored"),
        f("spill", spill, doc="rows wait until they are permitted: spilled maps are read or written"),
    )


def _steps(c: EngineConfig, w: Widths) -> tuple[BitField, ...]:
    """Steps and positions, and where their operands lie."""
    f, spill = BitField, int(c.spill is not None)
    return (
        f("step_first", w.step),
        f("step_last", w.step),
        f("last_y", w.position, doc="rows of the job - 1"),
        f("last_lx", w.position, doc="strip - 1"),
        f("last_r", w.row, doc="strips in use - 1"),
        f("base", w.source, doc="source word of position 0, tap offset 0"),
        f("d_lx", w.source, doc="source words from lx to lx + 1"),
        f("d_y", w.source, doc="source words from y to y + 1"),
        f("d_r", w.source, doc="source words from r to r + 1 (pool passes)"),
        f("d_pass", w.source if c.spill or c.grouped or c.folds else 1, doc="source words from pass to pass"),
        f("repeat", w.passes if c.grouped else 0, doc="passes that read the same source words - 1"),
        f("src_ring", spill, doc="the pooled source is a spilled map"),
        f("stride", w.tap + 1, doc="input rows and columns from one output to the next"),
        f("pad", w.tap + 1, doc="padding before the first row and column"),
        f("in_height", w.position),
        f("in_width", w.position),
        f("in_strip", w.position, doc="input columns from array row r to r + 1: strip * stride"),
    )


def _outputs(c: EngineConfig, w: Widths) -> tuple[BitField, ...]:
    """Geometry of the outputs, and the rate at which they leave the array."""
    f = BitField
    return (
        f("out_width", w.position, doc="vectors at x >= out_width store nothing"),
        f("strip", w.position),
        f("y_low", w.classes, doc="border class of y: y < y_low: y"),
        f("y_high", w.position, doc="y >= y_high: y - y_high + y_inner; else y_low"),
        f("y_inner", w.classes, doc="y_low + 1, or y_low when there are no inner positions"),
        f("x_low", w.classes),
        f("x_high", w.position),
        f("x_inner", w.classes),
        f("x_count", w.classes + 1, doc="class = class_y * x_count + class_x"),
        f("drain", w.drain, doc="vectors of a tile - 1: strips in use * subs * turns (conv), turns (pool)"),
        f(
            "pace",
            w.drain + 1 if c.front else 0,
            doc="cycles until the next tile may end - 1: drain and the front's",
        ),
    )


def _lanes(c: EngineConfig, w: Widths) -> tuple[BitField, ...]:
    """Post-processing, and the addresses of values."""
    f, post, spill = BitField, c.post, int(c.spill is not None)
    address, second = w.value_addr if post.residual else 0, int(post.second)
    gates, tile = int(post.gate_width > 0), w.passes if post.tiled else 0
    pairs = int(c.spill is not None and c.spill.second)
    return (
        f("shift", _index(len(post.shifts)), doc="index into PostConfig.shifts"),
        f("slope_shift", _index(len(post.slope_shifts))),
        f("code_shift", _index(len(post.code_shifts))),
        f("low", post.value_width, signed=True),
        f("high", post.value_width, signed=True),
        f("groups", w.groups, doc="channel groups of a pass: words of the value memory from pass to pass"),
        f("residual", 1, doc="add the value at the residual address"),
        f("late", int(post.late_residual), doc="the residual is added behind the two-slope function"),
        f("last_residual", w.passes if post.residual else 0, doc="last pass with a residual"),
        f("res_base", address),
        f("res_dx", address, doc="words from lx to lx + 1"),
        f("res_dr", address, doc="words from r to r + 1"),
        f("res_dy", address),
        f("res_dpass", w.value_addr if spill and post.residual else 0, doc="words from pass to pass"),
        f("res_tile", tile, doc="passes until a residual is repeated - 1"),
        f("second", second, doc="add the value at a second address, too: a vector takes two turns"),
        f("last_second", w.passes * second),
        f("sec_base", address * second),
        f("sec_dx", address * second),
        f("sec_dr", address * second),
        f("sec_dy", address * second),
        f("sec_dpass", w.value_addr * pairs),
        f("sec_tile", tile * second),
        f("gate", gates, doc="multiply by the gate"),
        f("gate_base", w.gate_addr * gates, doc="words from pass to pass: groups"),
        f("val_gate", gates, doc="y is a gate: val_base is an address of their memory"),
        f("res_ring", spill, doc="the residual is a spilled map"),
        f("sec_ring", pairs, doc="and so is the second"),
        f("value", 1, doc="store y in the value memory"),
        f("val_ring", spill, doc="y is a spilled map instead"),
        f("val_dpass", w.value_addr if spill else 0),
        f("val_base", w.value_addr),
        f("val_dx", w.value_addr),
        f("val_dr", w.value_addr),
        f("val_dy", w.value_addr),
        f("score", 1, doc="emit y as scores"),
    )


def _bits(c: EngineConfig, w: Widths) -> tuple[BitField, ...]:
    """What is written to the activation memory, and where."""
    f, post = BitField, c.post
    return (
        f("bits", 1, doc="store y >= threshold, or codes, in the activation memory"),
        f("codes", 1, doc="store the bit planes of codes instead of y >= threshold"),
        f(
            "last_plane",
            _index(max(post.code_planes, 2)),
            doc="turns of a vector - 1: planes of the code, or residuals",
        ),
        f("bit_base", w.bit_addr, doc="word of cell (0, x' = 0), plane 0, the pass's first group"),
        f("bit_dx", w.bit_addr, doc="words from x' to x' + 1"),
        f("bit_dy", w.bit_addr),
        f("bit_dplane", w.bit_addr),
        f("bit_dpass", w.groups, doc="words from pass to pass, but for what the slots carry over"),
        f("bit_strip", w.position, doc="strip of the map that is written"),
        f("bit_dstrip", w.bit_addr, doc="bit_strip * bit_dx"),
        f("bit_q", w.row, doc="strip // bit_strip: banks from array row r to r + 1"),
        f("bit_rem", w.position, doc="strip % bit_strip"),
        f("bit_drem", w.bit_addr, doc="bit_rem * bit_dx"),
        f("halo_low", w.tap + 1),
        f("halo_high", w.tap + 1),
        f("spread", 1, doc="group in one slot each; else in every slot"),
        f("slot", _index(c.slots), doc="slot of the pass's first group when spread"),
        f("slot_dpass", _index(c.slots), doc="slots from pass to pass"),
    )


__all__ = [
    "CARRIED_FIELDS",
    "FETCH_FIELDS",
    "ISSUE_FIELDS",
    "PART_BITS",
    "VECTOR_FIELDS",
    "job_layout",
    "parts",
]
