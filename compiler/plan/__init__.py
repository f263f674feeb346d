"""Planning: from an integer network to an engine configuration and the contents of its memories."""

from __future__ import annotations

from bnnhw.compiler.plan.auto import choose
from bnnhw.compiler.plan.build import Plan, Symbol, analyse, make_plan
from bnnhw.compiler.plan.resources import Resources, Sizes, check_fits, estimate
from bnnhw.compiler.plan.schedule import default_spread
from bnnhw.compiler.plan.shape import Limits, Popcount, Shape
from bnnhw.errors import BnnhwError
from bnnhw.spec.network import Network


def plan(network: Network, limits: Limits | None = None, shape: Shape | None = None, enough: int = 0) -> Plan:
    """The plan of a network on a chip: on ``shape``, or on the best shape that fits ``limits``.

    The best shape is the one that crowds the chip least of those that take at most ``enough`` cycles a frame, or
    nearly the fastest if none does.

    Raises UnsupportedError for a network that the engine cannot run, DoesNotFitError naming what a chip lacks.
    """
    found = analyse(network)
    if shape is None:
        if limits is None:
            raise BnnhwError("limits must be given where no shape is")
        return choose(found, limits, enough)
    default = default_spread(network, found.uses, found.orders, shape)
    result = make_plan(found, shape, default)
    if limits is not None and resources(result).over(limits) is not None:
        result = make_plan(found, shape, frozenset(found.uses.convs))
        check_fits(network.name, result.engine, resources(result), limits)
    return result


def resources(planned: Plan) -> Resources:
    """Estimated LUT4s, block RAMs and multipliers of a plan's engine."""
    return estimate(planned.engine, Sizes.of(planned.images))


__all__ = ["Limits", "Plan", "Popcount", "Resources", "Shape", "Symbol", "plan", "resources"]
