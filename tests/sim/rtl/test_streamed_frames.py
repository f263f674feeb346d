"""Frames with weights from SDRAM that come to be alike late only: every cycle of each is as predicted."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw import boards
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.sim import golden
from bnnhw.sim.fuzz.network import random_images, random_network
from bnnhw.sim.rtl import Effort, Simulation


@pytest.mark.parametrize(
    ("index", "shape", "clock_hz", "settled"),
    [
        (10, Shape(2, 8, 16, 4, 2), 24_000_000, 4),
        (105, Shape(3, 8, 8, 2, 4), 100_000_000, 37),  # the refresh wanders through 35 frames that are alike
    ],
)
def test_frames(index: int, shape: Shape, clock_hz: int, settled: int) -> None:
    network = random_network(1, index)
    found = make_plan(analyse(network), shape, external=boards.get("ulx3s").sdram_setup(clock_hz))
    assert len(found.cost.frames) == settled
    image = network.tensors[network.input]
    images = random_images(np.random.default_rng(1), settled + 4, (image.height, image.width, image.channels))
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, golden.run(network, images))
    assert tuple(result.cycles) == (*found.cost.frames, *[found.cost.frame] * 4)
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
