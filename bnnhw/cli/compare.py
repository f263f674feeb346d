"""Runs images at one level of the ladder of proof and compares all scores with the golden model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.cli.prepare import Prepared
from bnnhw.spec.numbers import IntArray

LEVELS = ("golden", "machine", "rtl")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores at a level against the golden model's.

    mismatches: scores that differ, of ``count`` x classes. simulated: cycles of a frame in steady state, None where
    the level has no time. where: the first difference, in words.
    """

    level: str
    count: int
    mismatches: int
    predicted: int
    simulated: int | None
    seconds: float
    scores: IntArray
    counters: Mapping[str, int] = field(default_factory=dict)
    where: str | None = None

    @property
    def good(self) -> bool:
        """All scores equal, and cycles as predicted."""
        return not self.mismatches and self.simulated in (None, self.predicted)

    def as_json(self) -> dict[str, Any]:
        """What ``bnnhw sim --json`` prints."""
        return {
            "level": self.level,
            "count": self.count,
            "mismatches": self.mismatches,
            "cycles": {"predicted": self.predicted, "simulated": self.simulated},
            "seconds": round(self.seconds, 3),
        }


def compare(prepared: Prepared, images: NDArray[np.uint8], level: str) -> Comparison:
    """Run ``images`` (N, H, W, C) at ``level``, one of LEVELS."""
    from bnnhw.sim import golden

    start = time.monotonic()
    expected = golden.run(prepared.network, images)
    scores = expected
    simulated: int | None = None
    counters: dict[str, int] = {}
    if level == "machine":
        from bnnhw.sim import machine

        scores = machine.run(prepared.plan, images)
    elif level == "rtl":
        scores, simulated, counters = _rtl(prepared, images)
    mismatches = int(np.count_nonzero(scores != expected))
    return Comparison(
        level=level,
        count=len(images),
        mismatches=mismatches,
        predicted=prepared.plan.cost.frame,
        simulated=simulated,
        seconds=time.monotonic() - start,
        scores=scores,
        counters=counters,
        where=_where(prepared, images, expected, scores) if mismatches else None,
    )


def _rtl(prepared: Prepared, images: NDArray[np.uint8]) -> tuple[IntArray, int, dict[str, int]]:
    """Scores, cycles of a steady frame, its counters. A frame that deviates from its prediction is the one told."""
    from bnnhw.sim.rtl import simulate

    # It takes some frames after reset until all that follow are alike. They differ in their images, since the next
    # one's first layer may already be computed, and stored, while one still runs.
    frames = prepared.plan.cost.frames
    both = np.concatenate([images, 255 - images])
    # Where the front unit stores its map in the SDRAM, a frame without a next image is faster, and how long the second
    # one waits for its map depends on when, after reset, the first image came between two refreshes: one more of each.
    stored = int(prepared.plan.images.front_store is not None)
    result = simulate(prepared.plan, both[np.arange(max(len(images), len(frames) + stored) + stored) % len(both)])
    predicted = [frames[min(n, len(frames) - 1)] for n in range(len(result.cycles))]
    ran = list(zip(result.cycles, predicted, result.counters, strict=True))[1 + stored : len(predicted) - stored]
    wrong = [found for found in ran if found[0] != found[1]]
    cycles, _, counters = (wrong or ran)[-1]
    return result.scores[: len(images)], cycles, counters


def _where(prepared: Prepared, images: NDArray[np.uint8], expected: IntArray, scores: IntArray) -> str:
    """The first difference: by layer, tensor, pixel and channel where the machine model shows it, else by score."""
    from bnnhw.sim import golden, machine

    image = int(np.argwhere((scores != expected).any(axis=1))[0][0])
    one = images[image : image + 1]
    found = machine.first_mismatch(
        prepared.plan.symbols, golden.trace(prepared.network, one), machine.trace(prepared.plan, one)
    )
    if found is not None:
        return f"image {image}: {found}"
    index = int(np.argwhere(scores[image] != expected[image])[0][0])
    return f"image {image}, score {index}: {scores[image, index]}, not {expected[image, index]}"
