"""Losses of engines that spill maps add up, and name what was waited for the SDRAM."""

from __future__ import annotations

import pytest

from bnnhw.compiler.frontend import pokebnn
from bnnhw.compiler.frontend.pokebnn import Arch
from bnnhw.compiler.losses import LOSSES, layer_costs
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.spec.network import Pool
from tests.compiler.spilled import spilled_plan


def gated_plan() -> Plan:
    """With a depthwise convolution, which the pool reader multiplies, beside layers of the array."""
    arch = Arch(base=(16, 32), blocks=(1, 1), size=16, patch=2, classes=10)
    return make_plan(analyse(lower(pokebnn.untrained("small", arch))), Shape.parse("2x8x16x8x8"))


def check(plan: Plan) -> dict[str, int]:
    """All cycles of a frame have a name; what the engine counts them as."""
    costs = layer_costs(plan.network, plan.engine, plan.cost, plan.layer_of_job)
    assert sum(cost.cycles for cost in costs) == plan.cost.frame
    causes, issued = plan.cost.causes(), 0
    for cost in costs:
        assert cost.ideal + sum(cost.losses.values()) == cost.cycles
        issued += int(cost.ideal + sum(cost.losses[name] for name in ("rows", "columns", "depth", "pool")))
    assert issued == causes["issue"]
    for name in LOSSES[LOSSES.index("weights") :]:
        found = sum(cost.losses[name] for cost in costs)
        assert found == (causes[name] if name in causes or plan.engine.external else 0)
    return causes


@pytest.mark.parametrize("first", [False, True])
def test_spilled_plan(first: bool) -> None:
    assert check(spilled_plan(first))["spill"] > 0


def test_weighted_pool() -> None:
    plan = gated_plan()
    pools = [layer for layer in plan.network.layers if isinstance(layer, Pool) and layer.weight is not None]
    assert pools
    assert plan.network.macs(pools[0]) > 0
    check(plan)
