"""The shape of one generated engine: array, lanes, memories, number widths. What a network does not use is absent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bnnhw.spec.front import FrontConfig
from bnnhw.spec.memory import parts_together
from bnnhw.spec.sdram import SdramSetup


class Popcount(Enum):
    """Forms of the XNOR-popcount of a PE; same function, same latency is not required between forms."""

    TREE = "tree"
    """Behavioural adder tree: portable, and the form that is simulated."""
    CARRY = "carry"
    """ECP5 carry chains instantiated directly: fewest LUTs."""


COUNTERS = ("frame", "issue", "weights", "params", "post", "layer", "pass_", "front")
"""Counters of the last finished frame, in cycles; of an engine that spills maps ``spill`` too (ALL_COUNTERS). ``frame``
is the sum of all others.

issue: a step entered the array (or the pool reader). weights, params: the loader had not finished the next pass.
post: the post-processor still drained the previous tile. layer: waiting for the last output of the previous job, or
of the frame. pass_: switching to a pass. front: before the frame, waiting for the front unit. spill: waiting for rows
of a map in the SDRAM, or for room for those that are on their way there.
"""
ALL_COUNTERS = (*COUNTERS, "spill")


@dataclass(frozen=True)
class InputConfig:
    """How an image becomes im2col windows: words of ``depth`` bits, each of a chunk of taps and of ``parts``
    neighbouring bit planes.

    Part q of plane group g is plane g * parts + q; more than one part only with one chunk. The parts lie side by side
    at the top of the word, part 0 lowest, and so do a part's taps.
    """

    height: int
    width: int
    channels: int
    kernel: int
    stride: int
    pad: int
    out_height: int
    out_width: int
    strip: int
    """Output columns a row of the array owns: array row r computes columns r * strip .. r * strip + strip - 1."""
    chunk_taps: int
    """Taps in one part of a word."""
    parts: int = 1
    planes: int = 8

    @property
    def taps(self) -> int:
        return self.kernel * self.kernel

    @property
    def chunks(self) -> int:
        return -(-self.taps // self.chunk_taps)

    @property
    def groups(self) -> int:
        """Groups of bit planes: words of a chunk."""
        return -(-self.planes // self.parts)

    @property
    def last_parts(self) -> int:
        """Parts of the last group."""
        return self.planes - (self.groups - 1) * self.parts

    @property
    def used(self) -> int:
        """Bits of a word that are stored, at its top."""
        return self.parts * self.chunk_taps * self.channels

    @property
    def words(self) -> int:
        """Words of one image in each row's bank."""
        return self.out_height * self.strip * self.chunks * self.groups

    def low_bit(self, depth: int, tap: int, part: int = 0) -> int:
        """Where the channels of a tap begin in a word of ``depth`` bits; a chunk of fewer taps lies at the top too."""
        chunk, place = divmod(tap, self.chunk_taps)
        taps = min(self.chunk_taps, self.taps - chunk * self.chunk_taps)
        return depth - ((self.parts - part) * taps - place) * self.channels


@dataclass(frozen=True)
class PostConfig:
    """What the post-processing lanes can do, and their number widths in bits."""

    scale_width: int
    """Signed width of the factor of the array's count (and of a pooled value)."""
    sum_scale_width: int
    """Signed width of the factor of the activation sum; 0 without activation sums."""
    offset_width: int
    border_width: int
    """Signed width of what a border class adds to the count of the array, before the scale; 0: every class has an
    offset of its own."""
    pre_width: int
    """Signed width of v and z."""
    value_width: int
    """Signed width of y, of the value memory and of the scores."""
    shifts: tuple[int, ...]
    """Distinct shifts after the first affine step; a pass selects one by its index."""
    residual: bool
    slope_width: int
    """Signed width of the slopes; 0 without a two-slope function."""
    slope_shifts: tuple[int, ...]
    in_offset_width: int
    out_offset_width: int
    code_shifts: tuple[int, ...]
    """Distinct shifts before publishing codes; empty without codes."""
    code_planes: int
    """Largest number of bit planes published; 1 without codes."""
    late_residual: bool = False
    """Some residuals are added behind the two-slope function."""
    second: bool = False
    """Some layers have two residuals."""
    tiled: bool = False
    """Some residuals have fewer channels than what they are added to, and are repeated."""
    gate_width: int = 0
    """Signed width of what a gate multiplies; 0 without gates."""
    gate_shift: int = 0
    """The shift behind the product."""
    gate_offset_width: int = 0

    @property
    def entry_width(self) -> int:
        """Signed width of what a channel has for each border class."""
        return self.border_width or self.offset_width


@dataclass(frozen=True)
class SpillConfig:
    """Maps of values in the SDRAM (see `spec.spill`).

    load_words, store_words, front_words: value words of the rings for loads, for what the lanes store, and for what the
    front unit stores (0 where its map stays on the chip); powers of two. bursts: of all spilled maps, behind the
    weights; burst_bits: of the number of a burst. jobs: that load or store. second: some load two residuals;
    tiled: some load residuals that are repeated.
    """

    load_words: int
    store_words: int
    front_words: int
    bursts: int
    burst_bits: int
    jobs: int
    second: bool = False
    tiled: bool = False


@dataclass(frozen=True)
class EngineConfig:
    """One engine.

    The array has ``rows`` x ``cols`` PEs of ``depth`` bits. ``lanes`` post-processing lanes take one output pixel of
    ``lanes`` channels a cycle. ``depth`` is split into ``slots`` = depth / lanes; every slot of every row has a bank
    of activation memory ``lanes`` bits wide with its own read offset.
    """

    rows: int
    cols: int
    depth: int
    lanes: int
    fetch: int
    """Columns of weights that the weight loader writes a cycle; a weight beat has fetch * depth bits."""
    popcount: Popcount
    tau: int
    """Codebook index bits; 0 without codebooks."""
    acc_width: int
    sum_width: int
    """Width of the activation-sum accumulators; 0 without them."""
    input: InputConfig
    """The image, and its windows for the array; there are none where ``front`` computes its convolution."""
    post: PostConfig
    pool_modes: tuple[str, ...]
    """Which of "sum", "max" the pool reader does; empty without pooling."""
    pool_width: int
    """Signed width of a pooled value; 0 without pooling."""
    bit_words: int
    value_words: int
    weight_words: int
    """Depth of one bank of the weight buffer, in words of cols * depth bits."""
    steps: int
    jobs: int
    passes: int
    """Most passes of a job."""
    halo_reach: int
    """How many neighbouring banks an output pixel may have to be copied to on either side."""
    classes: int
    """Largest number of border classes of a layer."""
    entries_per_beat: int
    """Entries of border classes in a parameter beat, a divisor of ``lanes``."""
    kernel: int
    """Largest window size of a layer that reads the activation memory or is pooled."""
    map_size: int
    """Largest height or width of any map."""
    scores: int = 0
    """Scores of a frame."""
    decodes: int = 0
    """Decode words; 0 without codebooks."""
    alike: bool = False
    """In every step all slots that read do so of the same tap at the same offset: steps have one read instead of one a
    slot, and slots may share the block RAMs of the activation memory."""
    partial: bool = False
    """Where slots are ``alike``, in some steps not all of them read."""
    grouped: bool = False
    """There are grouped convolutions, whose passes read other channels from group to group."""
    front: FrontConfig | None = None
    """The unit of multipliers that computes the convolution of the image; None: the array does."""
    external: SdramSetup | None = None
    """The SDRAM that weights and parameters come from, as streams in the order of use; None: memories of the engine."""
    gate_words: int = 0
    """Words of the memory of gates; 0 without gates."""
    folds: tuple[int, ...] = ()
    """How many neighbouring channels a pool may sum, where there are several; ascending."""
    pool_weight_width: int = 0
    """Signed width of the weights of weighted pools; 0 without."""
    spill: SpillConfig | None = None
    """Maps of values that lie in the SDRAM too; None: all are in the value memory."""

    @property
    def counters(self) -> tuple[str, ...]:
        """Names of the counters."""
        return COUNTERS if self.spill is None else ALL_COUNTERS

    @property
    def slots(self) -> int:
        return self.depth // self.lanes

    @property
    def reads(self) -> int:
        """Reads of a step."""
        return 1 if self.alike else self.slots

    @property
    def enables(self) -> int:
        """Reads of a step that are enabled by themselves."""
        return 1 if self.alike and not self.partial else self.slots

    @property
    def bank_slots(self) -> int:
        """Neighbouring slots whose activations are in one block RAM, as parts of its words."""
        return parts_together(max(self.bit_words, 2), self.lanes, self.slots) if self.alike else 1

    @property
    def subs(self) -> int:
        """Channel groups of ``lanes`` in one array row."""
        return self.cols // self.lanes

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols * self.depth

    @property
    def x_width(self) -> int:
        """Signed width of what a lane scales: a count, with what its border class adds, or a pooled value."""
        count = max(self.acc_width + 1, self.post.border_width) + bool(self.post.border_width)
        return max(count, self.pool_width)

    @property
    def front_ace_per_cycle(self) -> int:
        """ACE that the front unit can do in a cycle, 0 without one."""
        return 0 if self.front is None else self.front.ace_per_cycle

    @property
    def ace_per_cycle(self) -> int:
        """ACE that array and front unit can do in a cycle, both of them at work."""
        return self.macs_per_cycle + self.front_ace_per_cycle

    @property
    def beat_bits(self) -> int:
        """Bits of a weight beat."""
        return self.fetch * self.depth
