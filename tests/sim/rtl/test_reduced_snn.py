"""snn_r18 with a smaller image and fewer channels, the whole way: front unit, bands, streams and refreshes of SDRAM.

All 18 layers with their shortcuts, on an engine of the kind that the full network gets: slots that share block RAMs,
borders as counts, several images in a row, every stored map and every cycle.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.datasets import load_sample_image

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import bandable
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation

SIZE = 64


def test_reduced_network() -> None:
    arch = replace(snn.ARCHS["snn_r18"], widths=(32, 64, 64, 128), size=SIZE, classes=100)
    network = lower(snn.untrained("snn_r18 reduced", arch), Widths(value=9, factor=18))
    analysis = analyse(network)
    pools = bandable(network, analysis.uses)
    found = make_plan(
        analysis,
        Shape(4, 8, 32, 4, 1, 8),
        external=boards.get("ulx3s").sdram_setup(100_000_000),
        bands={pool: 2 + n for n, pool in enumerate(pools)},
    )
    assert len(pools) == 3
    assert found.engine.jobs > len(network.layers) + 3
    assert found.engine.alike
    assert found.engine.post.border_width
    picture = load_sample_image("flower.jpg")
    count = len(found.cost.frames) + 1
    images = np.stack([picture[n * 40 :, n * 90 :][:SIZE, :SIZE] for n in range(count)])
    expected = golden.trace(network, images)
    assert first_mismatch(found.symbols, expected, machine.trace(found, images)) is None
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[network.output][:, 0, 0])
    assert tuple(result.cycles) == (*found.cost.frames, found.cost.frame)
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
