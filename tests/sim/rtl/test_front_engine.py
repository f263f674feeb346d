"""A small SNN with a front unit in Verilator, its weights on chip or in SDRAM: every cycle of every frame predicted."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation


@pytest.mark.parametrize(
    ("shape", "size", "sdram"),
    [
        (Shape(2, 8, 16, 4, 4, 4), 32, False),
        (Shape(3, 8, 8, 4, 4, 8), 37, True),
        (Shape(4, 16, 24, 4, 2, 16), 32, False),
        (Shape(4, 8, 16, 4, 1, 8), 32, True),
    ],
)
def test_frames(shape: Shape, size: int, sdram: bool) -> None:
    arch = snn.Arch(blocks=(1, 2), widths=(8, 12), tau=4, size=size, classes=7)
    network = lower(snn.untrained("small", arch), Widths(value=12, factor=18))
    external = boards.get("ulx3s").sdram_setup(100_000_000) if sdram else None
    found = make_plan(analyse(network), shape, external=external)
    images = np.random.default_rng(3).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    expected = golden.trace(network, images)
    assert first_mismatch(found.symbols, expected, machine.trace(found, images)) is None
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[network.output][:, 0, 0])
    steady = [found.cost.frame] * (3 - len(found.cost.frames))
    assert list(result.cycles) == [*found.cost.frames, *steady]
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
