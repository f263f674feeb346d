"""DWR's ImageNet ResNet with a smaller image and odd widths: a stem with PReLU on the front unit, its channels aligned
by a convolution with 1-bit weights, weights from SDRAM."""

from __future__ import annotations

import pytest

from bnnhw import boards
from bnnhw.compiler.frontend import dwr
from bnnhw.compiler.frontend.dwr import Backbone
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from tests.sim.rtl import reduced


@pytest.mark.parametrize("react", [False, True])
def test_reduced_network(react: bool) -> None:
    arch = Backbone((22, 42, 38), (2, 1, 1), reduced.SIZE, 16, react=react, classes=20)
    network = lower(dwr.untrained("dwr_r18 reduced", arch))
    external = boards.get("ulx3s").sdram_setup(100_000_000)
    found = make_plan(analyse(network), Shape(4, 8, 16, 4, 1, 8), external=external)
    assert found.engine.front is not None
    result = reduced.simulated(found, len(found.cost.frames) + 1)
    assert tuple(result.cycles) == (*found.cost.frames, found.cost.frame)
