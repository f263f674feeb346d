"""AdaBin's, FTBNN's and DWR's smaller forms with a smaller image and fewer channels: golden model, machine and circuit
give the same, in the cycles that were predicted."""

from __future__ import annotations

from functools import partial

import pytest

from bnnhw.compiler.frontend import adabin, dwr, ftbnn
from bnnhw.compiler.frontend.dwr import Backbone, Vgg
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from tests.sim.rtl import reduced

SIDE = reduced.SIZE
PHOTOGRAPHS = partial(adabin.Arch, (16, 24, 32), (1, 1, 1), "pool", True, SIDE, 20, 8, 9, 18)

FAMILIES = {
    "adabin": lambda: adabin.untrained("x", adabin.Arch((8, 16), (2, 1), size=SIDE)),
    "adabin of photographs": lambda: adabin.untrained("x", PHOTOGRAPHS()),
    "ftbnn": lambda: ftbnn.untrained("x", ftbnn.Arch((16, 32), (2, 2), 8, photographs=False, size=SIDE, classes=10)),
    "ftbnn of photographs": lambda: ftbnn.untrained("x", ftbnn.Arch((16, 32), (2, 2), 8, size=SIDE, classes=10)),
    "dwr, shortcuts without weights": lambda: dwr.untrained(
        "x", Backbone((8, 22, 38), (2, 2, 2), SIDE, 8, "cifar", react=True, aligned=16, classes=10)
    ),
    "dwr, shortcuts around two": lambda: dwr.untrained(
        "x", Backbone((12, 22, 30), (2, 2, 2), SIDE, 8, "cifar_pairs", classes=10)
    ),
    "dwr, vgg": lambda: dwr.untrained("x", Vgg((10, 14, 18, 20), (0, 1, 2, 3), 8, size=SIDE)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_reduced_network(name: str) -> None:
    found = make_plan(analyse(lower(FAMILIES[name]())), Shape(4, 8, 16, 4, 4))
    result = reduced.simulated(found, len(found.cost.frames) + 1)
    assert tuple(result.cycles) == (*found.cost.frames, found.cost.frame)
