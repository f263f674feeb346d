"""Mismatches in maps in the SDRAM are named like others, the front unit's map among them, for either image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnhw.compiler.plan import Plan
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.rtl.locate import locate
from bnnhw.spec.spill import spill_layout

CASE = (1, 83)
"""A network whose maps of values are all spilled, the first by a front unit."""


@pytest.fixture(scope="module")
def case() -> tuple[Plan, NDArray[np.uint8]]:
    plan, images, failure = prepare(*CASE, random_network(*CASE))
    assert failure is None
    assert plan.images.front_store is not None
    return plan, images


@pytest.mark.parametrize("count", [1, 2])
def test_all_is_right(case: tuple[Plan, NDArray[np.uint8]], count: int) -> None:
    """The front unit's maps are used in turns."""
    plan, images = case
    assert locate(plan, images[:count]) is None


def test_map_that_the_lanes_store(case: tuple[Plan, NDArray[np.uint8]]) -> None:
    """The second group of channels of a map lies a burst beyond where it should."""
    plan, images = case
    layout, spills = spill_layout(plan.engine), list(plan.images.spills)
    base = next(s.place.base for s in plan.symbols if s.name == "conv3.value")
    number = next(n for n, word in enumerate(spills) if layout.unpack(word)["store_base"] == base)
    fields = layout.unpack(spills[number])
    spills[number] = layout.pack(fields | {"store_dsub": fields["store_dsub"] + 1})
    found = locate(replace(plan, images=replace(plan.images, spills=tuple(spills))), images[:2])
    assert str(found).startswith(f"layer 3, tensor conv3.value, image 1, pixel (0, 0), channel {plan.shape.lanes}: ")


def test_map_that_the_front_unit_stores(case: tuple[Plan, NDArray[np.uint8]]) -> None:
    """Rows are a burst further apart than they should be, groups by as many bursts as there are rows."""
    plan, images = case
    assert plan.images.front_store is not None
    store = replace(plan.images.front_store, row=plan.images.front_store.row + 1)
    found = locate(replace(plan, images=replace(plan.images, front_store=store)), images[:1])
    assert str(found).startswith(f"layer 0, tensor conv0.value, image 0, pixel (0, 0), channel {plan.shape.lanes}: ")
