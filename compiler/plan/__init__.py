"""Planning: from an integer network to an engine configuration and the contents of its memories."""

from __future__ import annotations

from bnnhw.compiler.plan.auto import choose
from bnnhw.compiler.plan.build import Analysis, Plan, Symbol, analyse, make_plan
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.plan.proposals import check_windows, fetches, front_columns
from bnnhw.compiler.plan.resources import Resources, Sizes, check_fits, estimate
from bnnhw.compiler.plan.schedule import default_spread
from bnnhw.compiler.plan.shape import Limits, Popcount, Shape
from bnnhw.compiler.plan.sketch import spilled_need
from bnnhw.errors import BnnhwError
from bnnhw.spec.memory import BLOCK_BITS
from bnnhw.spec.network import Network
from bnnhw.spec.sdram import SdramSetup


def plan(
    network: Network,
    limits: Limits | None = None,
    shape: Shape | None = None,
    enough: int = 0,
    sdram: SdramSetup | None = None,
    check: bool = True,
) -> Plan:
    """The plan of a network on a chip: on ``shape``, or on the best shape that fits ``limits``.

    Weights and parameters come from ``sdram``, if there is one, where weights take more than half of the block RAM or
    no engine fits otherwise; maps of values lie in it where that does not help.
    Without ``check`` a given shape may need more than there is, if that cannot be helped.

    The best shape is the one that crowds the chip least of those that take at most ``enough`` cycles a frame, or
    nearly the fastest if none does.

    Raises UnsupportedError for a network that the engine cannot run, DoesNotFitError naming what a chip lacks.
    """
    found = analyse(network)
    external = sdram if limits is not None and large(network, limits) else None
    if shape is None:
        if limits is None:
            raise BnnhwError("limits must be given where no shape is")
        return choose(found, limits, enough, external, sdram)
    if limits is not None and check and not shape.front:
        check_windows(found, limits)
    default = default_spread(network, found.uses, found.orders, shape)
    result = make_plan(found, shape, default, external)
    if limits is None or resources(result).over(limits) is None:
        return result
    fitting = _fitting(found, shape, limits, external, sdram)
    if check:
        check_fits(network.name, fitting.engine, resources(fitting), limits)
    return fitting if resources(fitting).over(limits) is None else result


def _fitting(
    found: Analysis, shape: Shape, limits: Limits, external: SdramSetup | None, sdram: SdramSetup | None
) -> Plan:
    """The plan with as few activation memories as can be and, if it still needs too many block RAMs, with weights and
    parameters in ``sdram`` and as few maps of values as it takes; without any where that does not help either."""
    maps = frozenset(found.uses.convs)
    first = make_plan(found, shape, maps, external)
    if sdram is None or resources(first).bram18k <= limits.bram18k:
        return first
    if external is None:
        first = make_plan(found, shape, maps, sdram)
        if resources(first).bram18k <= limits.bram18k:
            return first
    for spilled in spill_levels(found.network, found.uses, bool(shape.front)):
        if spilled_need(found, first, sdram, spilled).over(limits) is None:
            return make_plan(found, shape, maps, sdram, spilled=spilled)
    return first


def large(network: Network, limits: Limits) -> bool:
    """Whether a network's weights take more than half of the block RAM."""
    return 2 * sum(map(network.weight_bits, network.layers)) > limits.bram18k * BLOCK_BITS


def resources(planned: Plan) -> Resources:
    """Estimated LUT4s, block RAMs and multipliers of a plan's engine."""
    return estimate(planned.engine, Sizes.of(planned.images))


__all__ = [
    "Analysis",
    "Limits",
    "Plan",
    "Popcount",
    "Resources",
    "Shape",
    "Symbol",
    "analyse",
    "fetches",
    "front_columns",
    "large",
    "plan",
    "resources",
]
