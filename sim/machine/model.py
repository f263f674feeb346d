"""Runs frames: every pass of every job, line by line; traces tensors and locates the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.plan.build import Symbol
from bnnhw.compiler.plan.places import BitPlace
from bnnhw.errors import BnnhwError
from bnnhw.sim.machine import front
from bnnhw.sim.machine.post import Post
from bnnhw.sim.machine.program import PassWords, read_program
from bnnhw.sim.machine.sources import Array, PoolReader
from bnnhw.sim.machine.spill import RowMoves
from bnnhw.sim.machine.state import State
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import POOL, Images
from bnnhw.spec.spill import row_bursts, spill_layout

BATCH = 32
BATCH_BYTES = 1 << 28


class Planned(Protocol):
    """What the machine needs of a plan; the last two only for traces."""

    @property
    def engine(self) -> EngineConfig: ...
    @property
    def images(self) -> Images: ...
    @property
    def symbols(self) -> tuple[Symbol, ...]: ...
    @property
    def layer_of_job(self) -> tuple[int, ...]: ...


class Machine:
    """An engine with its program, ready to run batches of frames."""

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.front = config, images.front
        self.front_store = images.front_store
        self.jobs = [[self._prepare(words) for words in passes] for passes in read_program(config, images)]
        spills = iter([spill_layout(config).unpack(word) for word in images.spills])
        self.moves = [RowMoves(config, next(spills)) if job[0][0].fields["spill"] else None for job in self.jobs]
        assert next(spills, None) is None, "rows are moved for no job"

    def _prepare(self, words: PassWords) -> tuple[PassWords, Array | PoolReader, Post]:
        pool = words.fields["kind"] == POOL
        source = PoolReader(self.config, words) if pool else Array(self.config, words)
        return words, source, Post(self.config, words)

    def start(self, images: NDArray[np.uint8]) -> State:
        """Memories before a frame, with these images (N, height, width, channels) in the input memory, or their first
        map where a front unit computes it."""
        c = self.config.input
        wanted = (c.height, c.width, c.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            raise BnnhwError(f"images must be uint8 (N, {wanted[0]}, {wanted[1]}, {wanted[2]}), not {images.shape}")
        state = State(self.config, images)
        if self.config.front is not None and self.front is not None:
            front.run(state, self.config.front, self.front, images, self.front_store)
        return state

    def play(self, state: State, number: int) -> None:
        """Plays job ``number``."""
        moves = self.moves[number]
        for pass_, (words, source, post) in enumerate(self.jobs[number]):
            for y in range(words.fields["last_y"] + 1):
                if moves is not None:
                    moves.before(state, pass_, y)
                if isinstance(source, Array):
                    post.line(state, y, *source.line(state, y))
                else:
                    post.line(state, y, source.line(state, y), None)
                if moves is not None:
                    moves.after(state, pass_, y)

    def scores(self, state: State) -> IntArray:
        """Scores (N, classes) of a finished frame."""
        return np.concatenate(state.scores, axis=1)[:, : self.config.scores]

    @property
    def batch(self) -> int:
        """Images run together: bounded by memory."""
        c = self.config
        bits = c.rows * (c.slots * c.bit_words * c.lanes + (0 if c.front else c.input.words * c.depth))
        return max(1, min(BATCH, BATCH_BYTES // (bits + 8 * c.value_words * c.lanes)))


def run(plan: Planned, images: NDArray[np.uint8]) -> IntArray:
    """Scores (N, classes), int64, of uint8 images (N, height, width, channels), from engine and memory images alone."""
    machine = Machine(plan.engine, plan.images)
    parts = [np.zeros((0, plan.engine.scores), np.int64)]
    for first in range(0, len(images), machine.batch):
        state = machine.start(images[first : first + machine.batch])
        for number in range(len(machine.jobs)):
            machine.play(state, number)
        parts.append(machine.scores(state))
    return np.concatenate(parts)


def trace(plan: Planned, images: NDArray[np.uint8]) -> dict[str, IntArray]:
    """Every stored tensor (N, height, width, C) in channel order, as it is after its layer, and "scores"."""
    machine = Machine(plan.engine, plan.images)
    state = machine.start(images)
    found: dict[str, IntArray] = {}
    for job in range(-1, plan.engine.jobs):
        if job >= 0:
            machine.play(state, job)
        for symbol in (s for s in plan.symbols if s.job == job):
            rows = tensor_of(state, symbol)
            shape = (len(rows), symbol.place.tensor.height, *rows.shape[2:])
            whole = found.setdefault(symbol.name, np.zeros(shape, np.int64))
            whole[:, symbol.first : symbol.first + symbol.rows] = rows
    return found | {"scores": machine.scores(state)}


def tensor_of(state: State, symbol: Symbol) -> IntArray:
    """A symbol's tensor (N, rows, width, C) as it is in the memories now; bits as 0 and 1, codes as integers."""
    place, lanes = symbol.place, state.config.lanes
    y, x, group = np.ix_(np.arange(symbol.rows), np.arange(place.tensor.width), np.arange(place.groups))
    if isinstance(place, BitPlace):
        bank, column = np.divmod(x, place.strip)
        slot = group % place.slots if place.spread else group * 0
        at = place.base + y * place.row + (place.halo_low + column) * place.cell
        at = at + (group // place.slots if place.spread else group)
        planes = [state.activation[:, bank, slot, at + p * place.q].astype(np.int64) << p for p in range(place.planes)]
        stored: IntArray = np.sum(planes, axis=0)
    elif place.spilled:
        row = row_bursts(state.config, place.tensor.width)
        rows = [
            [state.maps[place.base + (g * place.tensor.height + n) * row] for g in range(place.groups)]
            for n in range(symbol.rows)
        ]
        stored = np.array(rows).transpose(2, 0, 3, 1, 4)
    else:
        stored = state.values[:, place.base + y * place.row + x * place.cell + group]
    flat = stored.reshape(*stored.shape[:3], place.groups * lanes)
    positions = np.flatnonzero(place.order >= 0)
    return flat[..., positions[np.argsort(place.order[positions])]]


@dataclass(frozen=True)
class Mismatch:
    """The first difference between two traces, in the order of the layers."""

    tensor: str
    layer: int
    image: int
    y: int
    x: int
    channel: int
    expected: int
    found: int

    def __str__(self) -> str:
        return (
            f"layer {self.layer}, tensor {self.tensor}, image {self.image}, pixel ({self.y}, {self.x}), "
            f"channel {self.channel}: {self.found}, not {self.expected}"
        )


def first_mismatch(
    symbols: Sequence[Symbol], expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]
) -> Mismatch | None:
    """Where ``found`` first differs from ``expected``; None if nowhere."""
    for symbol in symbols:
        wrong = np.argwhere(expected[symbol.name] != found[symbol.name])
        if len(wrong):
            image, y, x, channel = (int(i) for i in wrong[0])
            wanted, got = (int(maps[symbol.name][image, y, x, channel]) for maps in (expected, found))
            return Mismatch(symbol.name, symbol.layer, image, y, x, channel, wanted, got)
    return None


__all__ = ["Machine", "Mismatch", "Planned", "first_mismatch", "run", "tensor_of", "trace"]
