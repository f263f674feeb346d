"""Channel order: where each channel of a layer is stored, so that shortcuts read whole, aligned groups.

A residual is added lane by lane: stored channel l of the output takes stored channel l of the residual. Identity
residuals and pools therefore tie two layers to one order; an "option A" shortcut of a narrower map (``Residual.pad``
zero channels before it) makes the wider layer store the shortcut's channels first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnnhw.compiler.plan.uses import Uses
from bnnhw.errors import UnsupportedError
from bnnhw.spec.network import Network, Pool
from bnnhw.spec.numbers import IntArray


def channel_orders(network: Network, uses: Uses) -> dict[str, IntArray]:
    """For every tensor, the channel that each stored position holds (a permutation of 0..C-1).

    The input and the scores keep their order. Raises UnsupportedError where two shortcuts ask for different orders.
    """
    group = _tie(network, uses)
    roots = sorted(set(group), key=lambda g: (network.out_tensor(network.layers[g]).channels, g))
    orders: dict[int, IntArray] = {group[-1]: np.arange(network.tensors[network.output].channels)}
    for root in roots:
        _settle(network, uses, group, root, orders)
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
        if isinstance(layer, Pool):
            tie(uses.producer[layer.source], index)
        residual = layer.post.residual
        if residual is not None and network.tensors[residual.tensor].channels == network.out_tensor(layer).channels:
            tie(uses.producer[residual.tensor], index)
    return group


def _settle(network: Network, uses: Uses, group: list[int], root: int, orders: dict[int, IntArray]) -> None:
    """Fixes the order of one set of tied layers from the narrower residuals that its members add."""
    channels = network.out_tensor(network.layers[root]).channels
    for index, layer in enumerate(network.layers):
        residual = layer.post.residual
        if group[index] != root or residual is None:
            continue
        narrow = network.tensors[residual.tensor].channels
        if narrow == channels:
            continue
        first = residual.pad + orders[group[uses.producer[residual.tensor]]]
        if root not in orders:
            orders[root] = np.concatenate([first, np.setdiff1d(np.arange(channels), first)])
        elif not np.array_equal(orders[root][:narrow], first):
            raise UnsupportedError(
                f"shortcut {residual.tensor} of layer {layer.name} must keep the channel order that an earlier "
                "shortcut or the scores have fixed"
            )
    orders.setdefault(root, np.arange(channels))


def stored_channels(order: IntArray, count: int) -> IntArray:
    """The order extended to ``count`` stored positions, -1 where nothing is stored."""
    return np.concatenate([order, np.full(count - len(order), -1)])


Orders = Mapping[str, IntArray]

__all__ = ["Orders", "channel_orders", "stored_channels"]
