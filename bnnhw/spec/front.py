"""The front unit: a convolution of the image on multipliers, its max pool fused, beside the array.

Order of work: pooled rows; of each the rows of the convolution that it needs and that are not done; of each row its
strips of ``columns`` pixels; of each strip the groups of ``columns`` output channels; of each group the ``sums`` steps
(tap column and input channel, then idle steps); of each step the pixels. A step takes the taps of one column of the
window: ``kernel`` rows times ``columns`` channels are multiplied in a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.spec.network import BorderAxis, Window
from bnnhw.spec.numbers import unsigned_width

LATENCY = 38
"""Cycles from a start to the last write that are spent in registers, beside those of the adder tree."""
SLOPE = 6
"""Cycles of a two-slope function."""
SLACK = 32
"""Vectors that may be in the FIFO when a row begins, beyond whole rows."""
AHEAD = 3
"""Pooled rows that wait in the FIFO, at most, until the map may be stored."""
ROW_CYCLES = 2
"""Cycles between the last step of a row and the first of the next, when nothing has to be waited for."""
LINE_BANKS_MIN = 2
"""Rows of the image that a bank of the line buffer holds."""


@dataclass(frozen=True)
class MapTarget:
    """Where a map goes in the value memory (``halo`` fields 0) or the activation memory; see `spec.program`."""

    base: int
    row: int
    cell: int
    groups: int
    """Channel groups that are stored."""
    strip: int = 0
    halo_low: int = 0
    halo_high: int = 0
    spread: bool = False


@dataclass(frozen=True)
class FrontConfig:
    """One front unit: v = (scale[c] * X + offset[c, border]) >> shift, with slopes v = round_shift((pos[c] if v >= 0
    else neg[c]) * v, slope_shift) + out_offset[c], y = clamp(v), then the maximum over ``pool``.

    X is the convolution of the 8-bit image; half of the shift's rounding is part of the offset. The pooled value is
    stored as value, as bit (value >= threshold[c]), or both.
    """

    height: int
    width: int
    channels: int
    window: Window
    out_height: int
    out_width: int
    outs: int
    """Output channels, missing ones of the last group of ``lanes`` included."""
    lanes: int
    columns: int
    """Output channels at once, and pixels of a strip."""
    weight_bits: int
    acc_width: int
    scale_width: int
    offset_width: int
    value_width: int
    shift: int
    low: int
    high: int
    border_y: BorderAxis
    border_x: BorderAxis
    pool: Window
    pool_height: int
    pool_width: int
    value: MapTarget | None
    bits: MapTarget | None
    slope_width: int = 0
    """Signed width of slopes; 0 without."""
    slope_shift: int = 0
    out_offset_width: int = 0
    pre_width: int = 0
    """Signed width of v before the slope."""
    spilled: int = 0
    """Channel groups of values that are stored in the SDRAM (`FrontStore`), instead of ``value``."""

    @property
    def taps(self) -> int:
        """Steps that multiply: columns of the window times input channels."""
        return self.window.kernel * self.channels

    @property
    def sums(self) -> int:
        """Steps of a group: as many as it takes to hand the group before on, one channel a cycle."""
        return max(self.taps, self.columns)

    @property
    def groups(self) -> int:
        return -(-self.outs // self.columns)

    @property
    def strips(self) -> int:
        return -(-self.out_width // self.columns)

    @property
    def classes(self) -> int:
        return self.border_y.count * self.border_x.count

    @property
    def row_steps(self) -> int:
        """Cycles of a row's steps."""
        return self.strips * self.groups * self.sums * self.columns

    @property
    def row_cycles(self) -> int:
        """Cycles from the first step of a row to that of the next, when nothing is waited for."""
        return self.row_steps + ROW_CYCLES

    @property
    def tail(self) -> int:
        """Cycles from the start of the last row (when nothing is waited for any more) to the last write."""
        last_x = min(self.out_width, (self.pool_width - 1) * self.pool.stride - self.pool.pad + self.pool.kernel) - 1
        strip, pixel = divmod(last_x, self.columns)
        last_group = (strip + 1) * self.groups - 1
        steps = (last_group * self.sums + self.taps - 1) * self.columns
        latency = LATENCY + self.sum_levels + (SLOPE if self.slope_width else 0)
        return steps + pixel * self.columns + (self.outs - 1) % self.columns + latency

    @property
    def cycles(self) -> int:
        """Cycles from the start of an image to the last write, when nothing is waited for."""
        return (self.rows - 1) * self.row_cycles + self.tail

    @property
    def banks(self) -> int:
        """Banks of the line buffer: every row of a window lies in another."""
        return 1 << max(1, (self.window.kernel - 1).bit_length())

    @property
    def lines(self) -> int:
        """Rows of the image in the line buffer."""
        need = self.window.kernel + 2 * self.window.stride
        return max(LINE_BANKS_MIN * self.banks, 1 << (need - 1).bit_length())

    @property
    def line_bytes(self) -> int:
        return self.width * self.channels

    @property
    def sum_levels(self) -> int:
        """Levels of a column's adder tree, each with a register."""
        return (self.window.kernel - 1).bit_length()

    @property
    def multipliers(self) -> int:
        return self.window.kernel * self.columns

    @property
    def ace_per_cycle(self) -> int:
        """8-bit pixels times weights of ``weight_bits`` (PokeBNN, section 3)."""
        return self.multipliers * 8 * self.weight_bits

    @property
    def rows(self) -> int:
        """Rows of the convolution that are computed."""
        return self.rows_until(self.pool_height - 1)

    @property
    def row_vectors(self) -> int:
        """Vectors of a pooled row."""
        return self.pool_width * self.outs // self.lanes

    def gap(self, vectors: int) -> int:
        """Cycles without writes that follow so many vectors of the lanes, for this unit's own to keep up."""
        return -(-vectors // max(self.row_steps // self.row_vectors - 1, 1))

    @property
    def ahead(self) -> int:
        """Pooled rows that may wait until they may be stored. ``gap`` lets the writer store as many vectors in a row of
        the convolution as that can make; with two of those a pooled row, what waits gets fewer by one row each."""
        keeps_up = self.pool.stride > 1 and self.row_steps >= 2 * self.row_vectors
        return min(AHEAD, (self.pool_height - 1) // 2) if keeps_up else 0

    def permitted(self, pooled: int) -> int:
        """Rows of the map that must be free before the first row of the convolution for pooled row ``pooled`` begins.

        Toward the map's end fewer may wait: by two rows of permission for each that is made, all that waits is stored
        when the last row begins, whose end is then known.
        """
        return max(0, pooled + 1 - min(self.ahead, (self.pool_height - 1 - pooled) // 2))

    @property
    def fifo_words(self) -> int:
        """Vectors between the pool and the memories: those of the rows that wait and of the one that is made, and some
        that are still there, or on their way from the multipliers, when it begins."""
        return 1 << (self.row_vectors * (self.ahead + 1) + 2 * SLACK - 1).bit_length()

    def rows_until(self, pooled: int) -> int:
        """Rows of the convolution that pooled row ``pooled`` and those before it need."""
        return min(self.out_height, pooled * self.pool.stride - self.pool.pad + self.pool.kernel)


@dataclass(frozen=True)
class FrontImages:
    """Contents of the front unit's read-only memories.

    weights: for group, step, output channel of the group: the codes (w + 2**weight_bits - 1) / 2 of the window's
    column, row 0 lowest. scales, thresholds, pos, neg, out_offsets (without slopes none): for output channel. offsets:
    for output channel, border class.
    """

    weights: tuple[int, ...]
    scales: tuple[int, ...]
    offsets: tuple[int, ...]
    thresholds: tuple[int, ...]
    pos: tuple[int, ...] = ()
    neg: tuple[int, ...] = ()
    out_offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class FrontStore:
    """The front unit's map in the SDRAM (`spec.spill`): two of them, used in turns, the second ``size`` bursts behind
    the first; ``groups`` of ``height`` rows of ``width`` value words."""

    base: int
    size: int
    groups: int
    width: int
    height: int
    row: int
    """Bursts of a row of a group."""

    @property
    def words(self) -> int:
        """Value words of a row of all groups."""
        return self.width * self.groups


def row_width(config: FrontConfig) -> int:
    """Bits of a counter of pooled rows, all of them included."""
    return unsigned_width(config.pool_height)
