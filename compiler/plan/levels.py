"""Which maps to spill: the largest first, as many as a chip demands."""

from __future__ import annotations

from collections.abc import Iterator

from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule
from bnnhw.compiler.plan.spill import loaded, loaded_groups, source_rows, stored
from bnnhw.compiler.plan.uses import Uses
from bnnhw.compiler.plan.uses import stored as forms
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.network import Network
from bnnhw.spec.sdram import BURST
from bnnhw.spec.spill import row_bursts

BUS = 1.1
"""Cycles of the SDRAM for each word of a spilled map, in an estimate: rows are opened, reads and writes take turns."""
JOB = 600
"""Cycles from a job's begin to its first row, roughly, with those until what was stored before is in the SDRAM."""


def spill_levels(network: Network, uses: Uses, front: bool) -> Iterator[frozenset[str]]:
    """Maps of values to spill: those of the largest size, those of the two largest sizes, and so on. Not those that
    are pooled by windows which begin farther above a row than the next row is below it, nor what a ``front`` unit, if
    there is one, keeps to itself."""
    sizes: dict[str, int] = {}
    kept = _kept(network)
    fused = front_layers(network, uses).indices[:-1] if front else ()
    for index, layer in enumerate(network.layers):
        if index in fused:
            continue
        name = forms(network, uses, layer).value
        if (
            name is not None
            and name not in kept
            and all(
                network.layers[reader].window.pad <= network.layers[reader].window.stride
                for reader in uses.pools.get(name, [])
            )
        ):
            tensor = network.tensors[name]
            sizes[name] = tensor.height * tensor.width * tensor.channels
    for least in sorted(set(sizes.values()), reverse=True):
        yield frozenset(name for name, size in sizes.items() if size >= least)


def _kept(network: Network) -> set[str]:
    """Residuals that stay on the chip: those that are repeated, and of two the smaller, unless the other is repeated:
    rows of one are loaded."""
    kept = {r.tensor for layer in network.layers for r in layer.post.residuals if r.tiled}
    for layer in network.layers:
        both = [network.tensors[residual.tensor] for residual in layer.post.residuals]
        if len(both) > 1 and not any(residual.tiled for residual in layer.post.residuals):
            kept.add(min(both, key=lambda t: t.height * t.width * t.channels).name)
    return kept


def spilled_words(schedule: Schedule, config: EngineConfig, s: JobSchedule) -> int:
    """Words of 16 bits that a pass of a job loads and stores."""
    source, target = loaded(schedule, s), stored(schedule, s)
    bursts = 0
    if source is not None:
        bursts += loaded_groups(s) * len(source_rows(s, source)) * row_bursts(config, source.tensor.width)
    if target is not None:
        bursts += s.groups * s.job.rows * row_bursts(config, target.tensor.width)
    return bursts * BURST


__all__ = ["BUS", "JOB", "spill_levels", "spilled_words"]
