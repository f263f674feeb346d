"""Frames that follow each other: where they come to be alike, and the error where they do not."""

from __future__ import annotations

import pytest

from bnnhw import boards
from bnnhw.compiler.cost import settled
from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.errors import BnnhwError
from bnnhw.sim.fuzz.network import random_network


def streamed(index: int, shape: Shape, clock_hz: int) -> Plan:
    """The plan of a random network with its weights in SDRAM."""
    external = boards.get("ulx3s").sdram_setup(clock_hz)
    return make_plan(analyse(random_network(1, index)), shape, external=external)


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [
        ((9, 7), (9, 7)),
        ((9, 9, 9), (9, 9)),
        ((9, 7, 7, 7), (9, 7)),
        ((9, 7, 8, 7, 7), (9, 7, 8, 7)),
        ((7, 7, 7, 8), (7, 7, 7, 8)),
    ],
)
def test_settled(cycles: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert settled(cycles) == expected


def test_frames_settle_late() -> None:
    assert streamed(10, Shape(2, 8, 16, 4, 2), 24_000_000).cost.frames == (855, 910, 915, 914)


@pytest.mark.parametrize(
    ("index", "shape", "clock_hz", "cycles"),
    [
        (9, Shape(3, 8, 8, 2, 4), 24_000_000, "4147 to 4188"),  # one after the other
        (105, Shape(3, 8, 8, 2, 4), 20_000_000, "426 to 469"),  # 16 frames are alike in between
    ],
)
def test_frames_that_never_settle(index: int, shape: Shape, clock_hz: int, cycles: str) -> None:
    with pytest.raises(BnnhwError) as error:
        streamed(index, shape, clock_hz)
    assert str(error.value) == (
        f"frames must come to take equally many cycles, not {cycles} in turn: choose another clock or shape"
    )
