"""Which frames of a simulation are held against the prediction."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bnnhw.cli import compare
from bnnhw.compiler.plan import Plan
from bnnhw.sim import rtl

FRAMES = (90, 101, 100)


def plan(*, stored: bool) -> Any:
    """What says how long frames take. ``stored``: the front unit stores its map in the SDRAM."""
    own = SimpleNamespace(cost=SimpleNamespace(frames=FRAMES), images=SimpleNamespace(front_store=stored or None))
    own.foreseen = lambda count: Plan.foreseen(own, count)
    return own


@pytest.mark.parametrize(("stored", "held"), [(False, [1, 2, 3, 4]), (True, [2, 3])])
def test_wrong_frames_are_told(stored: bool, held: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan(stored=stored)
    assert list(found.foreseen(5)) == held
    for wrong in range(5):
        cycles = [*FRAMES, 100, 100]
        cycles[wrong] = 77

        def simulate(plan: Any, images: Any, cycles: list[int] = cycles) -> Any:
            assert len(images) == 5
            return SimpleNamespace(scores=np.zeros((5, 10)), cycles=cycles, counters=[{"frame": n} for n in cycles])

        monkeypatch.setattr(rtl, "simulate", simulate)
        _, told, counters = compare._rtl(SimpleNamespace(plan=found), np.zeros((5, 1, 1, 1), np.uint8))  # type: ignore[arg-type]
        assert told == counters["frame"] == (77 if wrong in held else 100)


@pytest.mark.parametrize(("stored", "count"), [(False, 3), (True, 4)])
def test_so_many_frames_run_that_one_of_the_last_kind_is_held(stored: bool, count: int) -> None:
    """However few images there are."""
    found = plan(stored=stored)
    assert max(found.foreseen(count)) == len(FRAMES) - 1
    assert compare.frames_needed(found, 1) == count
    assert compare.frames_needed(found, 9) == 9
