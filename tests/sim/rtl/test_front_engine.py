"""A small SNN with a front unit in Verilator: frames that follow each other, every cycle predicted."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape, plan
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation


@pytest.mark.parametrize(
    ("shape", "size"), [(Shape(2, 8, 16, 4, 4, 4), 32), (Shape(3, 8, 8, 4, 4, 8), 37), (Shape(4, 16, 24, 4, 2, 16), 32)]
)
def test_frames(shape: Shape, size: int) -> None:
    arch = snn.Arch(blocks=(1, 2), widths=(8, 12), tau=4, size=size, classes=7)
    network = lower(snn.untrained("small", arch), Widths(value=12, factor=18))
    found = plan(network, None, shape)
    images = np.random.default_rng(3).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    expected = golden.trace(network, images)
    assert first_mismatch(found.symbols, expected, machine.trace(found, images)) is None
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[network.output][:, 0, 0])
    assert list(result.cycles) == [found.cost.first, found.cost.frame, found.cost.frame]
    assert result.counters[1] == {"frame": found.cost.frame} | found.cost.causes()
