"""Frames of engines that spill maps: what is predicted for them goes on for ever, or is an error."""

from __future__ import annotations

from contextlib import suppress

import pytest

from bnnhw import boards
from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.spill_cost import SpilledEngine
from bnnhw.errors import UnsteadyError
from bnnhw.sim.fuzz.network import random_network
from tests.compiler.spilled import spilled_plan


def random_plan(index: int, shape: Shape, clock_hz: int = 100_000_000) -> Plan:
    """A random network with all maps of values in the SDRAM."""
    found = analyse(random_network(1, index))
    *_, every = spill_levels(found.network, found.uses, bool(shape.front))
    return make_plan(found, shape, external=boards.get("ulx3s").sdram_setup(clock_hz), spilled=every)


class Endless(SpilledEngine):
    """Goes on for many frames, whether they are alike or not."""

    def _begins(self, start: int, waited: int, passes: int, *times: int) -> None:
        super()._begins(start, waited, passes, *times)
        self.again = 0 if len(self.states) > 12 else None


def cycles(plan: Plan) -> tuple[list[int], list[tuple[object, ...]]]:
    """Of each frame, and the states in which they begin."""
    engine = Endless(plan.engine, plan.images)
    with suppress(UnsteadyError):  # the first frame counts as one of those that come again
        engine.run()
    return [found for found, _ in engine.frames], engine.states


@pytest.mark.parametrize("case", ["front unit's map spilled", "on the chip", "no front unit", "late"])
def test_frames_go_on_as_predicted(case: str) -> None:
    plan = {
        "front unit's map spilled": spilled_plan,
        "on the chip": lambda: spilled_plan(first=False),
        "no front unit": lambda: random_plan(39, Shape(1, 4, 4, 2, 1)),
        "late": lambda: random_plan(17, Shape(1, 4, 12, 4, 2, 4)),  # the seventh frame begins as none before did
    }[case]()
    found, states = cycles(plan)
    assert len(found) == 13
    predicted = plan.cost.frames
    assert found == [*predicted, *[plan.cost.frame] * (13 - len(predicted))]
    assert states[-1] in states[:-1]


def test_frames_that_look_alike_may_begin_otherwise() -> None:
    """Two frames that take the same cycles, for the same reasons, are not enough."""
    plan = random_plan(17, Shape(1, 4, 12, 4, 2, 4))
    engine = Endless(plan.engine, plan.images)
    engine.run()
    assert engine.frames[1] == engine.frames[2]
    assert engine.states[0] != engine.states[1]


def test_frames_that_differ_in_turn() -> None:
    with pytest.raises(UnsteadyError) as error:
        random_plan(101, Shape(3, 8, 4, 4, 8))
    assert str(error.value) == (
        "frames must come to take equally many cycles, not 4000 to 4013 in turn: choose another clock or shape"
    )
