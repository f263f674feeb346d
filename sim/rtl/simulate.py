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
from bnnhw.spec.engine import COUNTERS, EngineConfig
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import Images


class SimulationError(BnnhwError):
    """The simulated circuit broke its own interface: it got stuck, or sent a frame of the wrong length."""


class Planned(Protocol):
    """What a simulation needs of a compiled network: the engine's shape and the contents of its memories."""

    @property
    def engine(self) -> EngineConfig: ...
    @property
    def images(self) -> Images: ...


@dataclass(frozen=True)
class Stalls:
    """Disturbances at the engine's ports, as probabilities in percent; the same seed gives the same run.

    image, scores: of a cycle in which no byte is offered, no score is taken. abort: of an image before which a part of
    another one is sent and aborted.
    """

    image: int = 0
    scores: int = 0
    abort: int = 0
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


def simulate(
    plan: Planned,
    images: NDArray[np.uint8],
    *,
    stalls: Stalls | None = None,
    effort: Effort = Effort.RUN,
    keep: bool = True,
    limit: int | None = None,
    wave: Path | None = None,
) -> RtlResult:
    """Scores of ``images`` (N, H, W, C) from the circuit of ``plan``.

    ``keep`` keeps the compiled model for the next run of an engine of the same shape (its weights may differ).
    ``limit``: cycles without a byte or score moving that count as stuck; derived from the engine's size by default.
    ``wave``: VCD file to write.

    Raises
    ------
    BnnhwError
        For images of another size or kind, and where the C++ compiler is missing.
    SimulationError
        When the circuit gets stuck or sends a frame of the wrong length.
    """
    from bnnhw.hw.engine import Engine

    c = plan.engine
    want = (c.input.height, c.input.width, c.input.channels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != want or not len(images):
        raise BnnhwError(
            f"images must be uint8 of shape (at least 1, {want[0]}, {want[1]}, {want[2]}), "
            f"not {images.dtype} of shape {images.shape}"
        )
    engine = Engine(c, plan.images)
    limit = limit or 10_000 + 4 * (c.input.words + c.passes * c.map_size**2 * (c.steps + c.subs * 8))
    return run(engine, images, c.scores, stalls=stalls, effort=effort, keep=keep, limit=limit, wave=wave)


def run(
    component: Any,
    images: NDArray[np.uint8],
    scores: int,
    *,
    stalls: Stalls | None = None,
    effort: Effort = Effort.RUN,
    keep: bool = True,
    limit: int = 1_000_000,
    wave: Path | None = None,
) -> RtlResult:
    """``simulate`` for any component with the engine's ports that sends ``scores`` scores a frame."""
    start = time.monotonic()
    stalls = stalls or Stalls()
    score_width = component.o_scores.payload.score.shape().width
    counters = component.counters.shape().length
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as path:
        folder = Path(path)
        verilog = convert(component)
        verilog.write_memories(folder)
        harness = resources.files(__package__).joinpath("harness.cpp").read_text()
        model = compiled(verilog.text, harness, Options(effort, wave is not None), keep=keep, into=folder)
        (folder / "images.bin").write_bytes(images.tobytes())
        middle = time.monotonic()
        arguments = [len(images), math.prod(images.shape[1:]), scores, score_width, counters, limit]
        arguments += [stalls.seed, stalls.image, stalls.scores, stalls.abort]
        command = [str(model), "images.bin", "out.bin", *map(str, arguments)]
        if wave is not None:
            command.append(str(wave.absolute()))
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"the simulation ended with status {done.returncode}"]
            raise SimulationError(f"RTL simulation: {lines[-1]}")
        out = np.fromfile(folder / "out.bin", "<i8").reshape(len(images), scores + counters + 1)
        end = time.monotonic()
    names = [*COUNTERS, *(f"counter{i}" for i in range(len(COUNTERS), counters))][:counters]
    values = [dict(zip(names, map(int, row), strict=True)) for row in out[:, scores:-1]]
    return RtlResult(
        scores=out[:, :scores].astype(np.int64),
        cycles=[value[names[0]] for value in values],
        counters=values,
        periods=[int(period) for period in out[:, -1]],
        seconds=end - middle,
        compile_seconds=middle - start,
    )
