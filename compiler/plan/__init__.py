"""Planning: from an integer network to an engine configuration and the contents of its memories."""

from __future__ import annotations

from bnnhw.compiler.plan.build import Plan, Symbol, analyse, make_plan
from bnnhw.compiler.plan.shape import Limits, Popcount, Shape
from bnnhw.spec.network import Network


def plan(network: Network, limits: Limits | None, shape: Shape | None = None) -> Plan:
    """The plan of a network on a chip; on ``shape``, or on the best shape that fits."""
    assert shape is not None
    return make_plan(analyse(network), shape)


__all__ = ["Limits", "Plan", "Popcount", "Shape", "Symbol", "plan"]
