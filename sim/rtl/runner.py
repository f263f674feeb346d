"""Runs images through the Verilated engine: images in and scores out at its ports, with counters and cycles."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError
from bnnhw.sim.rtl.verilator import Effort, Options, compiled
from bnnhw.sim.rtl.verilog import convert
from bnnhw.spec.engine import ALL_COUNTERS, EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import Images, load_layout, param_bits
from bnnhw.spec.timing import load_cycles, param_cycles


class SimulationError(BnnhwError):
    """The simulated circuit broke its own interface: it got stuck, or sent a frame of the wrong length."""


class Planned(Protocol):
    """What a simulation needs of a compiled network: the engine's shape and the contents of its memories."""

    @property
    def engine(self) -> EngineConfig: ...
    @property
    def images(self) -> Images: ...


def reset_cycles(config: EngineConfig, images: Images) -> int:
    """Cycles after reset in which the first two passes' weights and parameters are loaded for certain.

    Before that a frame takes longer than predicted. Only a small image that follows reset at once could come so early.
    """
    loads = [load_layout(config).unpack(word) for word in images.loads[:2]]
    cycles = sum(4 + load_cycles(config, p, images.decodes) + param_cycles(config, p["last_class"]) for p in loads)
    if config.external is None:
        return 16 + cycles
    return SETUP + SLOWER * cycles * -(-max(config.beat_bits, param_bits(config)) // WORD)


SETUP = 500
"""Cycles in which an SDRAM is set up."""
SLOWER = 3
"""How much longer a word of an SDRAM may take than a cycle, at most, when rows change and others read too."""


@dataclass(frozen=True)
class Stalls:
    """Disturbances at the engine's ports, as probabilities in percent; the same seed gives the same run.

    image, scores: of a cycle in which no byte is offered, no score is taken.
    """

    image: int = 0
    scores: int = 0
    seed: int = 0


@dataclass(frozen=True)
class RtlResult:
    """Scores (N, n) of N frames; per frame the cycles by the engine's own counter and all its counters by name.

    ``periods``: cycles between the last scores of consecutive frames as seen from outside (0 for the first).
    ``seconds`` is the time of the simulation alone, ``compile_seconds`` that of all before it.
    """

    scores: IntArray
    cycles: list[int]
    counters: list[dict[str, int]]
    periods: list[int]
    seconds: float
    compile_seconds: float


class Simulation:
    """A compiled model of a component with the engine's ports; run it as often as needed, then ``close`` it.

    ``keep`` keeps the compiled model for the next component of the same shape (its memory contents may differ).
    ``trace`` makes a model that can write waves, ``snapshots`` one that can write its memories. ``idle``: cycles
    between reset and the first image. ``limit``: cycles without a byte or a score moving that count as stuck.
    ``compile_seconds``: what making the model took.
    """

    def __init__(
        self,
        component: Any,
        scores: int,
        *,
        effort: Effort = Effort.RUN,
        keep: bool = True,
        trace: bool = False,
        snapshots: bool = False,
        idle: int = 0,
        limit: int = 1_000_000,
    ) -> None:
        start = time.monotonic()
        self._scores, self._idle, self._limit, self._snapshots = scores, idle, limit, snapshots
        self._score_width = component.o_scores.payload.score.shape().width
        self._counters = component.counters.shape().length
        self._temporary = tempfile.TemporaryDirectory(prefix="bnnhw-")
        self._folder = Path(self._temporary.name)
        try:
            verilog = convert(component)
            verilog.write_memories(self._folder)
            harness = resources.files(__package__).joinpath("harness.cpp").read_text()
            options = Options(effort, trace, snapshots)
            self._model = compiled(verilog.text, harness, options, keep=keep, into=self._folder)
        except BaseException:
            self.close()
            raise
        self.compile_seconds = time.monotonic() - start

    @classmethod
    def of(cls, plan: Planned, **options: Any) -> Simulation:
        """The engine of a plan, its first weights loaded before the first image; ``options`` as above."""
        from bnnhw.hw.engine import Engine
        from bnnhw.sim.rtl.memory import EngineWithMemory

        c = plan.engine
        limit = 10_000 + 4 * (c.input.words + c.jobs * c.passes * c.map_size**2 * (c.steps + c.subs * 8))
        circuit = Engine(c, plan.images) if c.external is None else EngineWithMemory(c, plan.images)
        return cls(circuit, c.scores, idle=reset_cycles(c, plan.images), limit=limit, **options)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the model's files (the cached model stays)."""
        self._temporary.cleanup()

    def run(
        self,
        images: NDArray[np.uint8],
        *,
        stalls: Stalls | None = None,
        wave: Path | None = None,
        every: int = 1,
    ) -> RtlResult:
        """Reset, then scores of ``images`` (N, H, W, C). Raises SimulationError for a broken interface.

        A model with ``snapshots`` keeps those of the last frame, ``every`` so many cycles; see ``snapshots``.
        """
        start = time.monotonic()
        (self._folder / "images.bin").write_bytes(images.tobytes())
        stalls = stalls or Stalls()
        arguments = [len(images), math.prod(images.shape[1:]), self._scores, self._score_width, self._counters]
        arguments += [self._idle, self._limit, stalls.seed, stalls.image, stalls.scores]
        extra = str(every) if self._snapshots else "-" if wave is None else str(wave.absolute())
        command = [str(self._model), "images.bin", "out.bin", *map(str, arguments), extra]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"the simulation ended with status {done.returncode}"]
            raise SimulationError(f"RTL simulation: {lines[-1]}")
        return self._result(len(images), start)

    def snapshots(self) -> dict[str, NDArray[np.uint8]]:
        """The memories of the last run by name, (snapshots, words, bytes of a word), lowest byte first; of a chip
        beside the engine a single snapshot, of the end."""
        return _memories(self._folder / "snapshots.bin") | _memories(self._folder / "chip.bin")

    def _result(self, frames: int, start: float) -> RtlResult:
        scores, counters = self._scores, self._counters
        out = np.fromfile(self._folder / "out.bin", "<i8").reshape(frames, scores + counters + 1)
        names = [*ALL_COUNTERS, *(f"counter{i}" for i in range(len(ALL_COUNTERS), counters))][:counters]
        values = [dict(zip(names, map(int, row), strict=True)) for row in out[:, scores:-1]]
        return RtlResult(
            scores=out[:, :scores].astype(np.int64),
            cycles=[value[names[0]] for value in values],
            counters=values,
            periods=[int(period) for period in out[:, -1]],
            seconds=time.monotonic() - start,
            compile_seconds=self.compile_seconds,
        )


def _memories(path: Path) -> dict[str, NDArray[np.uint8]]:
    """What the harness wrote of memories."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    lines = [line.split() for line in head.splitlines() if line]
    sizes = [(name.decode(), int(size), int(words)) for name, size, words in lines]
    whole = np.frombuffer(body, np.uint8).reshape(-1, max(1, sum(size * words for _, size, words in sizes)))
    found, at = dict[str, NDArray[np.uint8]](), 0
    for name, size, words in sizes:
        found[name] = whole[:, at : at + size * words].reshape(-1, words, size)
        at += size * words
    return found


def simulate(
    plan: Planned,
    images: NDArray[np.uint8],
    *,
    stalls: Stalls | None = None,
    effort: Effort = Effort.RUN,
    keep: bool = True,
    wave: Path | None = None,
) -> RtlResult:
    """Scores of ``images`` (N, H, W, C) from the circuit of ``plan``; see Simulation. ``wave``: VCD file to write.

    Raises
    ------
    BnnhwError
        For images of another size or kind, and where the C++ compiler is missing.
    SimulationError
        When the circuit gets stuck or sends a frame of the wrong length.
    """
    c = plan.engine.input
    want = (c.height, c.width, c.channels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != want or not len(images):
        raise BnnhwError(
            f"images must be uint8 of shape (at least 1, {want[0]}, {want[1]}, {want[2]}), "
            f"not {images.dtype} of shape {images.shape}"
        )
    with Simulation.of(plan, effort=effort, keep=keep, trace=wave is not None) as simulation:
        return simulation.run(images, stalls=stalls, wave=wave)
