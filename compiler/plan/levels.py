"""Which maps to spill: the largest first, as many as a chip demands."""

from __future__ import annotations

from collections.abc import Iterator

from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.spill import spillable
from bnnhw.compiler.plan.uses import Uses, stored
from bnnhw.spec.network import Network


def spill_levels(network: Network, uses: Uses, front: bool) -> Iterator[frozenset[str]]:
    """Maps of values to spill: those of the largest size, those of the two largest sizes, and so on. Not those that
    are pooled by windows which begin farther above a row than the next row is below it, nor what a ``front`` unit, if
    there is one, keeps to itself."""
    sizes: dict[str, int] = {}
    unit = front_layers(network, uses) if front else None
    fused = unit.indices[:-1] if unit else ()
    kept = _kept(network, unit.last.post.publish.value if unit else None)
    for index, layer in enumerate(network.layers):
        if index in fused:
            continue
        name = stored(network, uses, layer).value
        pools = [network.layers[reader].window for reader in uses.pools.get(name or "", [])]
        if name is not None and name not in kept and all(map(spillable, pools)):
            tensor = network.tensors[name]
            sizes[name] = tensor.height * tensor.width * tensor.channels
    for least in sorted(set(sizes.values()), reverse=True):
        yield frozenset(name for name, size in sizes.items() if size >= least)


def _kept(network: Network, front: str | None) -> set[str]:
    """Residuals that stay on the chip: of two that are not loaded in turns, since their rows are not alike or one is
    the ``front`` unit's map, the smaller."""
    kept = set()
    for layer in network.layers:
        both = [network.tensors[residual.tensor] for residual in layer.post.residuals]
        rows = {(r.stride, t.height, t.width) for r, t in zip(layer.post.residuals, both, strict=True)}
        if len(both) > 1 and (len(rows) > 1 or any(t.name == front for t in both)):
            kept.add(min(both, key=lambda t: t.height * t.width * t.channels).name)
    return kept


__all__ = ["spill_levels"]
