"""Bytes of spilled maps: each is stored once, and read by rows where a layer adds or pools it."""

from __future__ import annotations

import pytest

from bnnhw import boards
from bnnhw.cli.measure import layer_costs, report_inputs
from bnnhw.cli.prepare import Prepared
from bnnhw.compiler.moved import value_bytes
from bnnhw.compiler.plan import Plan, plan
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.report import build_report
from bnnhw.report.html import render
from bnnhw.spec.external import BURST_BYTES
from bnnhw.spec.network import Conv
from bnnhw.spec.spill import row_bursts
from tests.compiler.spilled import SHAPE, analysis, graph, spilled_plan


def expected(found: Plan) -> dict[int, int]:
    """From the maps themselves, for layers of one job."""
    network, moved = found.network, dict[int, int]()
    maps = {s.name: s for s in found.symbols if isinstance(s.place, ValuePlace) and s.place.spilled}
    for index, layer in enumerate(network.layers):
        name = layer.source if not isinstance(layer, Conv) else layer.post.residual and layer.post.residual.tensor
        out = network.out_tensor(layer)
        for symbol, rows in ((maps.get(name or ""), 0), (maps.get(layer.post.publish.value or ""), out.height)):
            if symbol is None or not isinstance(symbol.place, ValuePlace):
                continue
            place, groups = symbol.place, symbol.place.stored_groups
            if not rows and not isinstance(layer, Conv):  # pools leave out groups that hold no channels
                rows, groups = place.tensor.height, place.groups
            bursts = groups * (rows or out.height) * row_bursts(found.engine, place.tensor.width)
            moved[index] = moved.get(index, 0) + bursts * BURST_BYTES
    return moved


@pytest.mark.parametrize("first", [False, True])
def test_bytes_of_maps(first: bool) -> None:
    found = spilled_plan(first)
    assert len(set(found.layer_of_job)) == len(found.layer_of_job)
    assert value_bytes(found) == expected(found)


def test_nothing_is_moved_without_spilled_maps() -> None:
    assert value_bytes(plan(analysis().network, shape=SHAPE)) == {}


def test_report_of_a_spilled_plan() -> None:
    found = spilled_plan()
    prepared = Prepared("small", boards.get("ulx3s"), graph(), found.network, found)
    told = {n: cost.bytes["values"] for n, cost in enumerate(layer_costs(prepared)) if cost.bytes["values"]}
    assert told == value_bytes(found)
    report = build_report(report_inputs(prepared, None, 100.0, command="bnnhw build"))
    assert report["bytes"]["values"] == sum(told.values())
    assert report["losses"]["spill"] == found.cost.causes()["spill"]
    assert report["cycles"]["predicted"] == found.cost.frame
    assert "maps in the SDRAM" in render(report)
