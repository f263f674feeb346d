"""snn_r18 with a smaller image and fewer channels, its maps of values in the SDRAM: every score and every cycle.

The front unit stores the first map, residuals are loaded and stored, pools read bands of rows from the ring.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import bandable
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation

SIZE = 64


@pytest.mark.parametrize(("level", "front"), [(0, 4), (-1, 8)], ids=["the largest maps", "all maps"])
def test_reduced_network(level: int, front: int) -> None:
    arch = replace(snn.ARCHS["snn_r18"], widths=(32, 64, 64, 128), size=SIZE, classes=100)
    network = lower(snn.untrained("snn_r18 reduced", arch), Widths(value=9, factor=18))
    analysis = analyse(network)
    spilled = list(spill_levels(network, analysis.uses, True))[level]
    found = make_plan(
        analysis,
        Shape(4, 8, 32, 4, 1, front),
        external=boards.get("ulx3s").sdram_setup(100_000_000),
        bands={pool: 2 + n for n, pool in enumerate(bandable(network, analysis.uses))},
        spilled=spilled,
    )
    assert found.images.front_store is not None
    assert found.cost.causes()["spill"]
    assert bool(found.cost.causes()["front"]) == (front == 4)
    picture = load_sample_image("flower.jpg")
    count = len(found.cost.frames) + 2  # the last frame has no next image
    images = np.stack([picture[n * 40 :, n * 90 :][:SIZE, :SIZE] for n in range(count)])
    expected = golden.trace(network, images)
    assert first_mismatch(found.symbols, expected, machine.trace(found, images)) is None
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[network.output][:, 0, 0])
    # The first image is not preceded by a frame, whose start would ask for a refresh: what it waits for depends on one.
    assert tuple(result.cycles[1:-1]) == (*found.cost.frames[1:], found.cost.frame)
    assert result.counters[-2] == {"frame": found.cost.frame} | found.cost.causes()
