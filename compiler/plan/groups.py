"""Grouped convolutions: which stored positions the passes of a group read, and what that asks of orders and shape.

Group by group a layer's passes read the channels of one block of its source's stored positions, the next group's the
block behind it. So a source's blocks and a layer's output must hold the groups in the same sequence, and blocks must be
whole channel groups of ``lanes``, outputs whole passes of ``cols``.
"""

from __future__ import annotations

from collections.abc import Iterable

from bnnhw.compiler.plan.orders import Orders
from bnnhw.compiler.plan.shape import Shape
from bnnhw.errors import DoesNotFitError, UnsupportedError
from bnnhw.spec.network import Conv, Network
from bnnhw.spec.numbers import IntArray


def grouped(network: Network) -> list[Conv]:
    """Convolutions of more than one group."""
    return [layer for layer in network.layers if isinstance(layer, Conv) and layer.groups > 1]


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


def misfit(layers: Iterable[Conv], shape: Shape) -> str | None:
    """Why the groups of a layer do not fit a shape, or None where all do."""
    for layer in layers:
        for what, size, count in (
            ("lanes", shape.lanes, layer.weight.shape[1]),
            ("cols", shape.cols, len(layer.weight) // layer.groups),
        ):
            if count % size:
                return f"{what} must divide the {count} channels of each group of layer {layer.name}, not be {size}"
    return None


def check_shape(network: Network, shape: Shape) -> None:
    """Raises DoesNotFitError naming what of the shape does not divide a layer's groups."""
    why = misfit(grouped(network), shape)
    if why is not None:
        raise DoesNotFitError(why)
