"""Losses of engines that spill maps add up, and name what was waited for the SDRAM."""

from __future__ import annotations

import pytest

from bnnhw.compiler.losses import LOSSES, layer_costs
from tests.compiler.spilled import spilled_plan


@pytest.mark.parametrize("first", [False, True])
def test_spilled_plan(first: bool) -> None:
    plan = spilled_plan(first)
    costs = layer_costs(plan.network, plan.engine, plan.cost, plan.layer_of_job)
    assert sum(cost.cycles for cost in costs) == plan.cost.frame
    causes, issued = plan.cost.causes(), 0
    for cost in costs:
        assert cost.ideal + sum(cost.losses.values()) == cost.cycles
        issued += int(cost.ideal + sum(cost.losses[name] for name in ("rows", "columns", "depth", "pool")))
    assert issued == causes["issue"]
    for name in LOSSES[LOSSES.index("weights") :]:
        assert sum(cost.losses[name] for cost in costs) == causes[name]
    assert causes["spill"] > 0
