"""Channel order: where each channel of a layer is stored, so that shortcuts read whole, aligned groups.

A residual is added lane by lane: stored position l of the output takes stored position l of the residual. Identity
residuals and pools therefore tie two layers to one order; an "option A" shortcut of a narrower map (``Residual.pad``
zero channels before it) makes the wider layer store the shortcut's channels first. Where the wider order is given
already (by the scores, or by another shortcut), the narrower map leaves positions empty instead: they hold 0.

Where channels of one map are counted (neighbours that are summed, a narrow map that is repeated), it and what it
becomes are in their own order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnnhw.compiler.plan.uses import Uses
from bnnhw.errors import UnsupportedError
from bnnhw.spec.network import Layer, Network, Pool
from bnnhw.spec.numbers import IntArray

Orders = Mapping[str, IntArray]
"""For every tensor, the channel that each stored position holds; -1: none. Each channel occurs once."""


def channel_orders(network: Network, uses: Uses) -> Orders:
    """Orders of all tensors. The input and the scores keep theirs.

    Raises UnsupportedError where shortcuts contradict each other.
    """
    group = _tie(network, uses)
    fixed = {group[-1]: np.arange(network.tensors[network.output].channels)}
    for index, layer in enumerate(network.layers):
        counted = [layer.source] if _recounts(network, layer) else []
        counted += [residual.tensor for residual in layer.post.residuals if residual.tiled]
        for one in [index] * bool(counted) + [uses.producer[name] for name in counted]:
            fixed[group[one]] = np.arange(network.out_tensor(network.layers[one]).channels)
    orders, conflict = _settle(network, uses, group, fixed)
    while conflict is not None:
        narrow, wanted, layer = conflict
        if narrow in fixed:
            raise UnsupportedError(
                f"shortcut of layer {layer.name} must agree with other shortcuts in its channel order"
            )
        fixed[narrow] = wanted
        orders, conflict = _settle(network, uses, group, fixed)
    result = {network.input: np.arange(network.tensors[network.input].channels)}
    for index, layer in enumerate(network.layers):
        publish = layer.post.publish
        for name in (publish.value, publish.bits, publish.codes):
            if name is not None:
                result[name] = orders[group[index]]
    return result


def _tie(network: Network, uses: Uses) -> list[int]:
    """Representative layer (the first) of each layer's order."""
    group = list(range(len(network.layers)))

    def tie(a: int, b: int) -> None:
        low, high = sorted((group[a], group[b]))
        group[:] = [low if g == high else g for g in group]

    for index, layer in enumerate(network.layers):
        if isinstance(layer, Pool) and not _recounts(network, layer):
            tie(uses.producer[layer.source], index)
        for name in layer.post.values:
            if network.tensors[name].channels == network.out_tensor(layer).channels:
                tie(uses.producer[name], index)
    return group


def _recounts(network: Network, layer: Layer) -> bool:
    """Whether a pool's output has other channels than its source."""
    return isinstance(layer, Pool) and network.tensors[layer.source].channels != network.out_tensor(layer).channels


Conflict = tuple[int, IntArray, Layer]
"""A set of tied layers, the order it must have, and the layer that asks for it."""


def _settle(
    network: Network, uses: Uses, group: list[int], fixed: Mapping[int, IntArray]
) -> tuple[dict[int, IntArray], Conflict | None]:
    """Orders of all sets of tied layers, narrow ones first; or the first order that must be another."""
    orders = dict(fixed)
    roots = sorted(set(group), key=lambda g: (network.out_tensor(network.layers[g]).channels, g))
    for root in roots:
        channels = network.out_tensor(network.layers[root]).channels
        added = [
            (layer, residual)
            for index, layer in enumerate(network.layers)
            for residual in layer.post.residuals
            if group[index] == root and not residual.tiled
        ]
        for layer, residual in added:
            narrow, count = group[uses.producer[residual.tensor]], network.tensors[residual.tensor].channels
            if narrow == root:
                continue
            if root not in orders:
                orders[root] = widen(orders[narrow], residual.pad, channels)
            wanted = narrowed(orders[root], residual.pad, count)
            if not np.array_equal(orders[narrow], wanted):
                return orders, (narrow, wanted, layer)
        orders.setdefault(root, np.arange(channels))
    return orders, None


def widen(order: IntArray, pad: int, channels: int) -> IntArray:
    """An order of ``channels`` channels that stores channel c + pad where ``order`` stores c."""
    rest = iter(np.setdiff1d(np.arange(channels), order[order >= 0] + pad).tolist())
    filled = [c + pad if c >= 0 else next(rest, -1) for c in order.tolist()]
    return np.array([*filled, *rest], np.int64)


def narrowed(order: IntArray, pad: int, channels: int) -> IntArray:
    """The order of ``channels`` channels that stores channel c where ``order`` stores c + pad."""
    shifted = np.where((order >= pad) & (order < pad + channels), order - pad, -1)
    return shifted[: int(np.flatnonzero(shifted >= 0)[-1]) + 1]


def stored_channels(order: IntArray, count: int) -> IntArray:
    """The order extended to ``count`` stored positions, -1 where nothing is stored."""
    return np.concatenate([order, np.full(count - len(order), -1)])


__all__ = ["Orders", "channel_orders", "stored_channels"]
