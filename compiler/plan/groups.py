"""What channels that are counted ask of orders and shape: grouped convolutions, folded maps, tiled residuals.

Group by group a layer's passes read the channels of one block of its source's stored positions, the next group's the
block behind it. So a source's blocks and a layer's output must hold the groups in the same sequence, and blocks must be
whole channel groups of ``lanes``, outputs whole passes of ``cols``. Channels that are summed must lie in whole words
of ``lanes``, and a residual that is repeated must end with a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from bnnhw.compiler.plan.orders import Orders
from bnnhw.compiler.plan.shape import Shape
from bnnhw.errors import DoesNotFitError, UnsupportedError
from bnnhw.spec.network import Conv, Network, Pool
from bnnhw.spec.numbers import IntArray, signed_width


def grouped(network: Network) -> list[Conv]:
    """Convolutions of more than one group."""
    return [layer for layer in network.layers if isinstance(layer, Conv) and layer.groups > 1]


def group_lanes(network: Network, usual: Sequence[int]) -> list[int]:
    """Lanes that fit all groups; they divide ``cols``, and so what a group makes, too."""
    layers = grouped(network)
    return _dividing(gcd(*(n for c in layers for n in (c.weight.shape[1], len(c.weight) // c.groups))), usual, 1)


def group_cols(network: Network, usual: Sequence[int], lanes: int) -> list[int]:
    """Columns that fit all groups."""
    return _dividing(gcd(*(len(layer.weight) // layer.groups for layer in grouped(network))), usual, lanes)


def _dividing(size: int, usual: Sequence[int], unit: int) -> list[int]:
    """Multiples of ``unit`` that divide ``size`` (0: any): of ``usual``, or if there are none all not larger."""
    fit = [n for n in usual if size % n == n % unit == 0]
    return fit or [n for n in range(unit, max(usual) + 1, unit) if size % n == 0]


def check_sequence(network: Network, orders: Orders) -> None:
    """Raises UnsupportedError naming a layer whose groups are not stored one after the other."""
    for layer in grouped(network):
        ins, outs = layer.weight.shape[1], len(layer.weight) // layer.groups
        source, out = orders[layer.source], orders[network.out_tensor(layer).name]
        if layer.source == network.input:
            raise UnsupportedError(f"layer {layer.name} reads the image: it must have 1 group, not {layer.groups}")
        if _sequence(source, ins) is None or _sequence(source, ins) != _sequence(out, outs):
            raise UnsupportedError(
                f"groups of layer {layer.name} must be stored in the same sequence as those of its source "
                f"{layer.source}: a shortcut that adds channels in front mixes them"
            )


def _sequence(order: IntArray, size: int) -> list[int] | None:
    """The group of each block of ``size`` stored positions; None where a block has channels of several, or gaps."""
    if len(order) % size or (order < 0).any():
        return None
    blocks = (order // size).reshape(-1, size)
    return blocks[:, 0].tolist() if (blocks == blocks[:, :1]).all() else None


def misfit(network: Network, shape: Shape) -> str | None:
    """Why the channels of a layer do not fit a shape, or None where all do."""
    for layer in grouped(network):
        for what, size, count in (
            ("lanes", shape.lanes, layer.weight.shape[1]),
            ("cols", shape.cols, len(layer.weight) // layer.groups),
        ):
            if count % size:
                return f"{what} must divide the {count} channels of each group of layer {layer.name}, not be {size}"
    for one in network.layers:
        why = _pool_misfit(network, one, shape) if isinstance(one, Pool) else _tile_misfit(network, one, shape)
        if why is not None:
            return why
    return None


def _pool_misfit(network: Network, pool: Pool, shape: Shape) -> str | None:
    if pool.weight is not None and (bits := shape.lanes * weight_width(network)) > shape.cols * shape.depth:
        return f"cols * depth must be at least the {bits} bits of {shape.lanes} weights of layer {pool.name}"
    words, outs = (
        -(-network.tensors[name].channels // shape.lanes) for name in (pool.source, network.out_tensor(pool).name)
    )
    if pool.fold > 1 and (shape.lanes % pool.fold or words < pool.fold * outs):
        return f"lanes must be {pool.fold} times a divisor of the channels of layer {pool.name}, not {shape.lanes}"
    return None


def _tile_misfit(network: Network, layer: Conv, shape: Shape) -> str | None:
    for residual in layer.post.residuals:
        channels = network.tensors[residual.tensor].channels
        if residual.tiled and channels % shape.cols:
            return f"cols must divide the {channels} channels that layer {layer.name} repeats, not be {shape.cols}"
    return None


def weight_width(network: Network) -> int:
    """Signed width of the weights of weighted pools; 0 without."""
    weights = [layer.weight for layer in network.layers if isinstance(layer, Pool) and layer.weight is not None]
    if not weights:
        return 0
    return signed_width(min(int(w.min()) for w in weights), max(int(w.max()) for w in weights))


def check_shape(network: Network, shape: Shape) -> None:
    """Raises DoesNotFitError naming what of the shape does not divide a layer's groups."""
    why = misfit(network, shape)
    if why is not None:
        raise DoesNotFitError(why)
