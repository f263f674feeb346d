"""The front unit's map stays on the chip while others lie in the SDRAM: it writes between the rows of those."""

from __future__ import annotations

import numpy as np

from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation
from tests.compiler.spilled import SIZE, spilled_plan


def test_frames() -> None:
    plan, count = spilled_plan(first=False), 4
    images = np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    expected = golden.trace(plan.network, images)
    assert first_mismatch(plan.symbols, expected, machine.trace(plan, images)) is None
    with Simulation.of(plan, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[plan.network.output][:, 0, 0])
    frames = (*plan.cost.frames, *[plan.cost.frame] * count)
    assert tuple(result.cycles[1:]) == frames[1:count]
