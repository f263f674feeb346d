"""Layouts of everything the compiler puts into the engine's memories, and what each field makes the engine do.

A frame is a list of *jobs* (``spec.jobs``), and a job of *passes*. A conv pass computes ``cols`` output channels over
all positions of its job; a pool pass ``lanes``.
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
from bnnhw.spec.front import FrontImages, FrontStore
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
    passes: int
    groups: int
    gate_addr: int

    @classmethod
    def of(cls, c: EngineConfig) -> Widths:
        bit_addr = unsigned_width(max(c.bit_words - 1, 1))
        input_addr = 1 if c.front is not None else unsigned_width(max(c.input.words - 1, 1))
        rings = () if c.spill is None else (c.spill.load_words - 1, c.spill.store_words - 1)
        value_addr = unsigned_width(max(c.value_words - 1, c.gate_words - 1, 1, *rings))
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
            drain=unsigned_width(c.rows * c.subs * max(c.post.code_planes, 1 + c.post.second) + 1),
            passes=unsigned_width(max(c.passes - 1, 1)),
            groups=unsigned_width(c.subs),
            gate_addr=unsigned_width(max(c.gate_words - 1, 1)),
        )


def step_layout(c: EngineConfig) -> WordLayout:
    """One step. For slot s (slot 0 stands for all where they are alike, but for ``en`` where they are ``partial``):
    ``en{s}`` 0 reads zeros; address = position base + ``offset{s}`` (wrapping); the word is zeroed where the tap
    (``dy{s}``, ``dx{s}``) leaves the map. ``weight`` is the weight word; ``shift`` doubles the accumulators before
    adding. Input steps use slot 0's offset and no masks, pool steps slot 0 alone: of a folded pool ``part`` says
    which of the words whose channels are summed."""
    w = Widths.of(c)
    fields = [
        BitField("shift", 1),
        BitField("weight", w.weight),
        BitField("part", (max((1, *c.folds)) - 1).bit_length()),
    ]
    for s in range(c.reads):
        fields += [
            BitField(f"en{s}", 1),
            BitField(f"dy{s}", w.tap),
            BitField(f"dx{s}", w.tap),
            BitField(f"offset{s}", w.source),
        ]
    fields += [BitField(f"en{s}", 1) for s in range(c.reads, c.enables)]
    return WordLayout(tuple(fields))


def load_layout(c: EngineConfig) -> WordLayout:
    """What the loaders fetch for every pass of a job: weights (if ``weights``) and per-channel parameters."""
    w = Widths.of(c)
    decode = unsigned_width(max(c.decodes - 1, c.weight_words - 1, 1))
    return WordLayout(
        (
            BitField("last_pass", w.passes, doc="passes - 1"),
            BitField("weights", 1, doc="0 for pool passes"),
            BitField("codebook", 1, doc="indices and codebook instead of raw bits"),
            BitField("last_word", w.weight, doc="weight words - 1"),
            BitField("decode", decode if c.tau else 0, doc="first decode word of a codebook pass"),
            BitField("last_class", w.classes, doc="border classes - 1"),
        )
    )


def decode_layout(c: EngineConfig) -> WordLayout:
    """How one weight word is made from codebook indices: for slot s, the kernel position ``tap{s}`` of channel group
    ``group{s}`` of the index block; ``en{s}`` 0 gives zeros. ``load`` first takes the next block of indices. Slots that
    are alike have the tap of slot 0, each its own group, and zeros only where they are ``partial``."""
    fields = [BitField("load", 1)]
    for s in range(c.slots):
        fields += [BitField(f"en{s}", 1)] if c.partial or not c.alike else []
        fields += [BitField(f"tap{s}", 4)] if s < c.reads else []
        fields += [] if c.alike else [BitField(f"group{s}", (c.slots - 1).bit_length())]
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
            BitField("gate_offset", p.gate_offset_width, signed=True),
            BitField("threshold", p.value_width + 1, signed=True),
        )
    )


def param_bits(c: EngineConfig) -> int:
    """Bits of a parameter beat: one lane's record, or ``entries_per_beat`` entries (lowest lane lowest)."""
    return max(lane_layout(c).width, c.entries_per_beat * c.post.entry_width)


@dataclass(frozen=True)
class Images:
    """Contents of the engine's read-only memories; every word is a Python integer.

    jobs, loads: one word a job. steps, decodes: shared by passes. weights: beats of fetch * depth bits in the order
    of use; of a raw pass, for each column group of ``fetch`` columns every weight word; of a codebook pass, 9 beats of
    2**tau bits (bit i of beat t = kernel position t of codeword i), then for each column group and each decode word
    with ``load``: tau beats, beat b = bit b of the index of every (column, channel of the block).
    params: for every pass, for sub, for lane: a lane record; then for class, for sub, for each beat of lanes: entries,
    which are offsets, or with ``border_width`` what is added to the count. Half of the first affine shift's rounding is
    included in the offsets. spills: one word (``spec.spill``) for each job that loads or stores spilled maps;
    front_store: where the front unit's map lies, if it is one of them.
    """

    jobs: tuple[int, ...]
    steps: tuple[int, ...]
    loads: tuple[int, ...]
    decodes: tuple[int, ...]
    weights: tuple[int, ...]
    params: tuple[int, ...]
    front: FrontImages | None = None
    spills: tuple[int, ...] = ()
    front_store: FrontStore | None = None
