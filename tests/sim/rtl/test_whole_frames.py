"""Whole ImageNet frames in Verilator, weights from SDRAM: all scores, every cycle. Minutes: run with -m long."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

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
    photograph = load_sample_image("flower.jpg")[100:324, 200:424][None]
    expected = golden.trace(network, photograph)
    assert first_mismatch(found.symbols, expected, machine.trace(found, photograph)) is None
    with Simulation.of(found) as simulation:
        result = simulation.run(photograph.repeat(2, axis=0))
    assert np.array_equal(result.scores[1], expected[network.output][0, 0, 0])
    assert np.array_equal(result.scores[0], result.scores[1])
    assert list(result.cycles) == [found.cost.first, found.cost.frame]
    assert result.counters[1] == {"frame": found.cost.frame} | found.cost.causes()
