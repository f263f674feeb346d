"""A small network with residuals and pools, and engines of it whose maps of values lie in the SDRAM."""

from __future__ import annotations

from functools import cache

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.ir import Graph
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.build import Analysis, analyse, make_plan
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.levels import spill_levels

SIZE = 32
SHAPE = Shape(2, 8, 16, 4, 4, 4)


@cache
def graph() -> Graph:
    return snn.untrained("small", snn.Arch(blocks=(2, 1), widths=(8, 12), tau=4, size=SIZE, classes=7))


@cache
def analysis() -> Analysis:
    return analyse(lower(graph(), Widths(value=12, factor=18)))


@cache
def spilled_plan(first: bool = True) -> Plan:
    """All maps of values in the SDRAM; without ``first`` the front unit's stays on the chip."""
    found = analysis()
    *_, every = spill_levels(found.network, found.uses, True)
    front = front_layers(found.network, found.uses).last.post.publish.value
    assert front in every
    plan = make_plan(
        found,
        SHAPE,
        external=boards.get("ulx3s").sdram_setup(100_000_000),
        spilled=every if first else every - {front},
    )
    assert plan.engine.spill is not None
    assert (plan.images.front_store is not None) == first
    return plan
