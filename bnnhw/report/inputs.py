"""What a report is made from: plain measured or predicted numbers, independent of the modules that produce them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STREAMS = ("weights", "params")
"""What is read from the memory of weights: beats of weights (or indices), records of the post-processing."""
KINDS = (*STREAMS, "values")
"""And maps of values that lie there too, written and read."""


@dataclass(frozen=True)
class Array:
    """Shape of the XNOR-popcount array and the number of post-processing lanes."""

    rows: int
    cols: int
    depth: int
    lanes: int

    @property
    def macs_per_cycle(self) -> int:
        """Binary MACs a cycle, which is ACE a cycle."""
        return self.rows * self.cols * self.depth


@dataclass(frozen=True)
class LayerCost:
    """One layer: its work, and its predicted cycles as an ideal part plus named losses.

    kind: ``conv`` or ``pool``. output: (height, width, channels). precision: weight x activation bits, ``1x8``.
    unit: ``array``, or ``front`` for what the front unit computes beside it, whose cycles are no part of the frame's.
    macs, ace: per frame, padding taps included. weight_bits: bits of all its weights as stored (indices and codebook
    for sub-bit weights). bytes: moved from and to the memory of :class:`Memory` in a frame, by kind (KINDS).
    ideal + sum(losses) == cycles; ideal = ACE / (rows * cols * depth) and need not be whole.
    """

    name: str
    kind: str
    output: tuple[int, int, int]
    precision: str
    macs: int
    ace: int
    weight_bits: int
    bytes: Mapping[str, int]
    cycles: int
    ideal: float
    losses: Mapping[str, float]
    unit: str = "array"

    @property
    def bytes_moved(self) -> int:
        return sum(self.bytes.values())


@dataclass(frozen=True)
class Memory:
    """The memory that weights and parameters are read from, and what it moves at most; ``loaded_bytes``: what the host
    loads into it."""

    name: str
    bytes_per_cycle: float
    loaded_bytes: int = 0


@dataclass(frozen=True)
class MapMemory:
    """A memory of maps: ``banks`` of ``words`` words of ``width`` bits, in which a map has the same addresses."""

    name: str
    banks: int
    words: int
    width: int


@dataclass(frozen=True)
class PlacedMap:
    """A tensor in the memory called ``memory``: ``words`` words of every bank from ``address`` on, held from layer
    ``first`` (which writes it) to layer ``last`` (the last that reads it)."""

    tensor: str
    memory: str
    address: int
    words: int
    first: int
    last: int


@dataclass(frozen=True)
class Simulation:
    """Outcome of the RTL simulation: score mismatches against the golden model, cycles a frame, counters by name."""

    level: str
    images: int
    mismatches: int
    cycles: int
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy of the golden model on a data set."""

    data: str
    count: int
    correct: int


@dataclass(frozen=True)
class Cell:
    """A placed cell: tile coordinates and hierarchical name."""

    x: int
    y: int
    path: str


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report tells.

    front_ace: ACE a cycle of the front unit's multipliers, 0 without one. memories, maps: the memory plan.
    weights: what they were trained on, or ``untrained``. ace_paper: the figure of the paper, where it gives one.
    losses: names of losses with a sentence each, in the order in which they are drawn; layers may use only these.
    frame_losses: cycles a frame that belong to no layer (fetching, entering and leaving the frame).
    resources: name -> (used, available); None when the design was not placed. lut4_array: LUT4s of the array (PEs,
    accumulators, drain) after placement. latency_cycles: from the last byte of an image in the engine to its last
    score. image_bytes, score_bytes: of one frame on the host link, framing included; link_bytes_per_s: what it moves.
    placement: cells for the picture of the chip, device_grid its (columns, rows).
    """

    model: str
    board: str
    weights: str
    command: str
    input: tuple[int, int, int]
    classes: int
    array: Array
    memory: Memory
    layers: tuple[LayerCost, ...]
    losses: Mapping[str, str]
    clock_mhz: float
    latency_cycles: int
    image_bytes: int
    score_bytes: int
    link_bytes_per_s: float
    front_ace: int = 0
    memories: tuple[MapMemory, ...] = ()
    maps: tuple[PlacedMap, ...] = ()
    paper: str | None = None
    ace_paper: float | None = None
    frame_losses: Mapping[str, float] = field(default_factory=dict)
    simulation: Simulation | None = None
    accuracy: Accuracy | None = None
    fmax_mhz: float | None = None
    resources: Mapping[str, tuple[int, int]] | None = None
    lut4_array: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    placement: tuple[Cell, ...] = ()
    device_grid: tuple[int, int] | None = None
