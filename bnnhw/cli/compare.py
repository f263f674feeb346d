"""Runs images at one level of the ladder of proof and compares all scores with the golden model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.cli.prepare import Prepared
from bnnhw.spec.numbers import IntArray

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Plan

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
    plan, both = prepared.plan, np.concatenate([images, 255 - images])
    needed = frames_needed(plan, len(images))
    result, foreseen = simulate(plan, both[np.arange(needed) % len(both)]), plan.foreseen(needed)
    wrong = [n for n, cycles in foreseen.items() if result.cycles[n] != cycles]
    told = max(wrong or foreseen)
    return result.scores[: len(images)], result.cycles[told], result.counters[told]


def frames_needed(plan: Plan, least: int) -> int:
    """Frames to run, ``least`` or more, so that one which stands for all that follow is foreseen."""
    return next(n for n in count(least) if max(plan.foreseen(n), default=-1) >= len(plan.cost.frames) - 1)


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
