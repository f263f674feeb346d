"""Layouts of everything the compiler puts into the engine's memories, and what each field makes the engine do.

A frame is a list of *passes*. A conv pass computes ``cols`` output channels over a whole map; a pool pass ``lanes``.
Positions are walked y, then lx (column inside a strip), then - pool passes only - r (strip); x = r * strip + lx.
Position p of a conv pass is one *tile*: the same lx in every strip, array row r computing x = r * strip + lx.

For each tile (or pool position) the engine plays the pass's *steps*; a step reads one word per slot from the activation
memory (or one word of the input windows, or one of the value memory) and feeds the array (or the pool reader) for one
cycle. After the last step the result goes to the post-processor, which emits one *vector* of ``lanes`` channels a
cycle, in the order r, sub (channel group), plane (bit plane of codes).

Address arithmetic wraps at the address width: a masked tap may compute any address.

Memories (words, contents):
  activation  per row r and slot s; ``lanes`` bits. Bits map with G groups of channels (ceil(C / lanes), rounded up to
              whole passes where conv passes write it), strip t, halos (hl, hh):
              cell(y, x') = y * (hl + t + hh) + hl + x', x' = x - r * t in -hl .. t + hh - 1 (copies of the
              neighbours' pixels); word = base + (cell * planes + plane) * q + j, where
              replicated: q = G, every slot holds group j;
              spread: q = ceil(G / slots), slot s holds group j * slots + s.
  input       per row; ``depth`` bits; word = ((y * strip + lx) * chunks + chunk) * groups + group of planes.
  value       lanes * value_width bits; word = base + (y * width + x) * G + group.
  weights     cols * depth bits, bit = (w + 1) / 2 of the weight plane; column c at bits c * depth and up.
Unused bits of activations and weights are 0, so they never count.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import FrontImages, row_width
from bnnhw.spec.layout import BitField, WordLayout
from bnnhw.spec.numbers import unsigned_width

CONV_BITS, CONV_INPUT, POOL = 0, 1, 2
"""Kinds of passes: array on activation memory, array on input windows, pool reader on value memory."""


@dataclass(frozen=True)
class Widths:
    """Widths of addresses and counters, derived from the engine's shape."""

    bit_addr: int
    input_addr: int
    value_addr: int
    source: int
    step: int
    weight: int
    position: int
    tap: int
    row: int
    classes: int
    drain: int

    @classmethod
    def of(cls, c: EngineConfig) -> Widths:
        bit_addr = unsigned_width(max(c.bit_words - 1, 1))
        input_addr = 1 if c.front is not None else unsigned_width(max(c.input.words - 1, 1))
        value_addr = unsigned_width(max(c.value_words - 1, 1))
        return cls(
            bit_addr=bit_addr,
            input_addr=input_addr,
            value_addr=value_addr,
            source=max(bit_addr, input_addr, value_addr if c.pool_modes else 1),
            step=unsigned_width(max(c.steps - 1, 1)),
            weight=unsigned_width(max(c.weight_words - 1, 1)),
            position=unsigned_width(c.map_size + c.kernel + c.rows) + 1,
            tap=unsigned_width(max(c.kernel - 1, 1)),
            row=unsigned_width(max(c.rows - 1, 1)),
            classes=unsigned_width(max(c.classes - 1, 1)),
            drain=unsigned_width(c.rows * c.subs * c.post.code_planes + 1),
        )


def step_layout(c: EngineConfig) -> WordLayout:
    """One step. For slot s (slot 0 stands for all where they are alike): ``en{s}`` 0 reads zeros; address = position
    base + ``offset{s}`` (wrapping); the word is zeroed where the tap (``dy{s}``, ``dx{s}``) leaves the map. ``weight``
    is the weight word; ``shift`` doubles the accumulators before adding. Input steps use slot 0's offset and no masks,
    pool steps slot 0 alone."""
    w = Widths.of(c)
    fields = [BitField("shift", 1), BitField("weight", w.weight)]
    for s in range(c.reads):
        fields += [
            BitField(f"en{s}", 1),
            BitField(f"dy{s}", w.tap),
            BitField(f"dx{s}", w.tap),
            BitField(f"offset{s}", w.source),
        ]
    return WordLayout(tuple(fields))


def pass_layout(c: EngineConfig) -> WordLayout:
    """One pass descriptor."""
    w, post = Widths.of(c), c.post

    def index(n: int) -> int:
        return (max(n, 1) - 1).bit_length()

    f = BitField
    return WordLayout(
        (
            f("kind", 2, doc="CONV_BITS, CONV_INPUT or POOL"),
            f("barrier", 1, doc="wait until every output of earlier passes is stored"),
            f("final", 1, doc="last pass of the frame"),
            f("pool_max", 1, doc="pool by maximum instead of sum"),
            f("front_rows", row_width(c.front) if c.front else 0, doc="rows of the next first map that may be stored"),
            # steps and positions
            f("step_first", w.step),
            f("step_last", w.step),
            f("last_y", w.position, doc="output height - 1"),
            f("last_lx", w.position, doc="strip - 1"),
            f("last_r", w.row, doc="strips in use - 1"),
            f("base", w.source, doc="source word of position 0, tap offset 0"),
            f("d_lx", w.source, doc="source words from lx to lx + 1"),
            f("d_y", w.source, doc="source words from y to y + 1"),
            f("d_r", w.source, doc="source words from r to r + 1 (pool passes)"),
            f("stride", w.tap + 1, doc="input rows and columns from one output to the next"),
            f("pad", w.tap + 1, doc="padding before the first row and column"),
            f("in_height", w.position),
            f("in_width", w.position),
            f("in_strip", w.position, doc="input columns from array row r to r + 1: strip * stride"),
            # output geometry
            f("out_width", w.position, doc="vectors at x >= out_width store nothing"),
            f("strip", w.position),
            f("y_low", w.classes, doc="border class of y: y < y_low: y"),
            f("y_high", w.position, doc="y >= y_high: y - y_high + y_inner; else y_low"),
            f("y_inner", w.classes, doc="y_low + 1, or y_low when there are no inner positions"),
            f("x_low", w.classes),
            f("x_high", w.position),
            f("x_inner", w.classes),
            f("x_count", w.classes + 1, doc="class = class_y * x_count + class_x"),
            f("drain", w.drain, doc="vectors of a tile - 1: strips in use * subs * planes (conv), planes (pool)"),
            f(
                "pace",
                w.drain + 1 if c.front else 0,
                doc="cycles until the next tile may end - 1: drain and the front's",
            ),
            # post-processing
            f("shift", index(len(post.shifts)), doc="index into PostConfig.shifts"),
            f("slope_shift", index(len(post.slope_shifts))),
            f("code_shift", index(len(post.code_shifts))),
            f("low", post.value_width, signed=True),
            f("high", post.value_width, signed=True),
            f("residual", 1, doc="add the value at the residual address"),
            f("res_base", w.value_addr if post.residual else 0),
            f("res_dx", w.value_addr if post.residual else 0, doc="words from lx to lx + 1"),
            f("res_dr", w.value_addr if post.residual else 0, doc="words from r to r + 1"),
            f("res_dy", w.value_addr if post.residual else 0),
            f("value", 1, doc="store y in the value memory"),
            f("val_base", w.value_addr),
            f("val_dx", w.value_addr),
            f("val_dr", w.value_addr),
            f("val_dy", w.value_addr),
            f("score", 1, doc="emit y as scores"),
            # activation memory
            f("bits", 1, doc="store y >= threshold, or codes, in the activation memory"),
            f("codes", 1, doc="store the bit planes of codes instead of y >= threshold"),
            f("last_plane", index(max(post.code_planes, 2)), doc="planes - 1; 0 when codes is 0"),
            f("bit_base", w.bit_addr, doc="word of cell (0, x' = 0), plane 0, the pass's first group"),
            f("bit_dx", w.bit_addr, doc="words from x' to x' + 1"),
            f("bit_dy", w.bit_addr),
            f("bit_dplane", w.bit_addr),
            f("bit_strip", w.position, doc="strip of the map that is written"),
            f("bit_dstrip", w.bit_addr, doc="bit_strip * bit_dx"),
            f("bit_q", w.row, doc="strip // bit_strip: banks from array row r to r + 1"),
            f("bit_rem", w.position, doc="strip % bit_strip"),
            f("bit_drem", w.bit_addr, doc="bit_rem * bit_dx"),
            f("halo_low", w.tap + 1),
            f("halo_high", w.tap + 1),
            f("spread", 1, doc="group in one slot each; else in every slot"),
            f("slot", index(c.slots), doc="slot of the pass's first group when spread"),
        )
    )


def load_layout(c: EngineConfig) -> WordLayout:
    """What the loaders fetch for one pass: weights (if ``weights``) and per-channel parameters."""
    w = Widths.of(c)
    decode = unsigned_width(max(c.decodes - 1, c.weight_words - 1, 1))
    return WordLayout(
        (
            BitField("weights", 1, doc="0 for pool passes"),
            BitField("codebook", 1, doc="indices and codebook instead of raw bits"),
            BitField("last_word", w.weight, doc="weight words - 1"),
            BitField("decode", decode if c.tau else 0, doc="first decode word of a codebook pass"),
            BitField("last_class", w.classes, doc="border classes - 1"),
        )
    )


def decode_layout(c: EngineConfig) -> WordLayout:
    """How one weight word is made from codebook indices: for slot s, the kernel position ``tap{s}`` of channel group
    ``group{s}`` of the index block; ``en{s}`` 0 gives zeros. ``load`` first takes the next block of indices."""
    fields = [BitField("load", 1)]
    for s in range(c.slots):
        fields += [BitField(f"en{s}", 1), BitField(f"tap{s}", 4), BitField(f"group{s}", (c.slots - 1).bit_length())]
    return WordLayout(tuple(fields))


def lane_layout(c: EngineConfig) -> WordLayout:
    """The per-channel parameters of one lane, except those of border classes. ``scale`` multiplies the array's
    mismatch count M (or the pooled value), with ``border_width`` after the class's entry was added to it: the compiler
    folds X = K - 2 M and the like into scale, entries and offset."""
    p = c.post
    return WordLayout(
        (
            BitField("offset", p.offset_width if p.border_width else 0, signed=True, doc="else there is one a class"),
            BitField("scale", p.scale_width, signed=True),
            BitField("sum_scale", p.sum_scale_width, signed=True),
            BitField("in_offset", p.in_offset_width, signed=True),
            BitField("pos", p.slope_width, signed=True),
            BitField("neg", p.slope_width, signed=True),
            BitField("out_offset", p.out_offset_width, signed=True),
            BitField("threshold", p.value_width + 1, signed=True),
        )
    )


def param_bits(c: EngineConfig) -> int:
    """Bits of a parameter beat: one lane's record, or ``entries_per_beat`` entries (lowest lane lowest)."""
    return max(lane_layout(c).width, c.entries_per_beat * c.post.entry_width)


@dataclass(frozen=True)
class Images:
    """Contents of the engine's read-only memories; every word is a Python integer.

    passes, loads: one word a pass. steps, decodes: shared by passes. weights: beats of fetch * depth bits in the order
    of use; of a raw pass, for each column group of ``fetch`` columns every weight word; of a codebook pass, 9 beats of
    2**tau bits (bit i of beat t = kernel position t of codeword i), then for each column group and each decode word
    with ``load``: tau beats, beat b = bit b of the index of every (column, channel of the block).
    params: for every pass, for sub, for lane: a lane record; then for class, for sub, for each beat of lanes: entries,
    which are offsets, or with ``border_width`` what is added to the count. Half of the first affine shift's rounding is
    included in the offsets.
    """

    passes: tuple[int, ...]
    steps: tuple[int, ...]
    loads: tuple[int, ...]
    decodes: tuple[int, ...]
    weights: tuple[int, ...]
    params: tuple[int, ...]
    front: FrontImages | None = None
