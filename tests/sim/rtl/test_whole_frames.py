"""Whole ImageNet frames in Verilator, weights from SDRAM: all scores, every cycle. Minutes: run with -m long."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from bnnhw import boards, models
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Simulation

SHAPE = Shape(8, 16, 64, 8, 1, 16)


@pytest.mark.long
@pytest.mark.parametrize("name", ["snn_r18", "snn_r18_t6", "snn_r18_t4", "bnn_r18"])
def test_whole_frame(name: str) -> None:
    network = lower(models.load(name))
    found = make_plan(analyse(network), SHAPE, external=boards.get("ulx3s").sdram_setup(100_000_000))
    photographs = np.stack([image[100:324, 200:424] for image in load_sample_images().images])
    expected = golden.trace(network, photographs)
    assert first_mismatch(found.symbols, expected, machine.trace(found, photographs)) is None
    order = np.arange(len(found.cost.frames)) % 2  # the next one's front is computed while one still runs
    with Simulation.of(found) as simulation:
        result = simulation.run(photographs[order])
    assert np.array_equal(result.scores, expected[network.output][order, 0, 0])
    assert tuple(result.cycles) == found.cost.frames
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
