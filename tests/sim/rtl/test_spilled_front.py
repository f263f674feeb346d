"""The front unit's map stays on the chip while others lie in the SDRAM: it writes between the rows of those."""

from __future__ import annotations

import numpy as np

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation


def test_frames() -> None:
    arch = snn.Arch(blocks=(2, 1), widths=(8, 12), tau=4, size=32, classes=7)
    found = analyse(lower(snn.untrained("small", arch), Widths(value=12, factor=18)))
    first = front_layers(found.network, found.uses).last.post.publish.value
    *_, every = spill_levels(found.network, found.uses, True)
    assert first in every
    external = boards.get("ulx3s").sdram_setup(100_000_000)
    plan = make_plan(found, Shape(2, 8, 16, 4, 4, 4), external=external, spilled=every - {first})
    assert plan.engine.spill is not None
    assert plan.images.front_store is None
    images = np.random.default_rng(3).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    expected = golden.trace(found.network, images)
    assert first_mismatch(plan.symbols, expected, machine.trace(plan, images)) is None
    with Simulation.of(plan, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[found.network.output][:, 0, 0])
    frames = (*plan.cost.frames, *[plan.cost.frame] * 4)
    assert tuple(result.cycles[1:]) == frames[1:4]
