"""Each layer's predicted cycles, split into the ideal and named losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bnnhw.compiler.cost import Cost
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.network import Bits, Codes, Conv, Network

LOSSES = ("rows", "columns", "depth", "pool", "weights", "params", "post", "layer", "pass_", "front", "spill")
"""What cycles beyond the ideal went to. rows, columns: array rows and columns beyond the map or the channels; depth:
unused bits of a step; pool: pooling steps; the others as in ``spec.engine.ALL_COUNTERS``."""


@dataclass(frozen=True)
class LayerCost:
    """Cycles of one layer: ideal = ACE / array size, 0 where the array has no part in it, plus losses by name, =
    ``cycles``."""

    name: str
    macs: int
    ace: int
    cycles: int
    ideal: Fraction
    losses: dict[str, Fraction]


def layer_costs(network: Network, config: EngineConfig, cost: Cost, layer_of_job: Sequence[int]) -> list[LayerCost]:
    """Each layer's cycles, split exactly into ideal and losses."""
    result = []
    for index, layer in enumerate(network.layers):
        mine = [job for job, owner in zip(cost.jobs, layer_of_job, strict=True) if owner == index]
        by_cause = {name: sum(job.cycles[n] for job in mine) for n, name in enumerate(config.counters[1:])}
        losses = {name: Fraction(by_cause.get(name, 0)) for name in LOSSES}
        issue = Fraction(by_cause["issue"])
        ace = network.ace(layer)
        ideal = Fraction(0)
        if mine and isinstance(layer, Conv):
            ideal = Fraction(ace, config.macs_per_cycle)
            source, out = network.tensors[layer.source], network.out_tensor(layer)
            assert isinstance(source.format, Bits | Codes)
            steps_used = Fraction(layer.weight[0].size * layer.weight_bits * source.format.planes, config.depth)
            pixels = Fraction(out.height * out.width, config.rows)
            steps, passes = mine[0].steps, mine[0].passes
            positions = issue / passes / steps
            groups = Fraction(out.channels, config.cols)
            losses["depth"] = (steps - steps_used) * positions * passes
            losses["columns"] = steps_used * positions * (passes - groups)
            losses["rows"] = steps_used * (positions - pixels) * groups
        else:  # of the front unit, whose frame waits in its first job; or pools, whose weights their reader multiplies
            losses["pool"] = issue
        cycles = sum(job.total for job in mine)
        assert ideal + sum(losses.values()) == cycles, f"losses of {layer.name} do not add up"
        result.append(LayerCost(layer.name, network.macs(layer), ace, cycles, ideal, losses))
    return result
