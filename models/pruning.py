"""DWR's pruning: channels whose mean maps are alike count once, and the widths left are brought to the cost budget.

Source: DWR, AAAI 2023, doi 10.1609/aaai.v37i9.26268, its official code (folder Pruning) for the clustering; how the
widths that survive become the final ones is not public. Here all grow or shrink by one factor (`reshape.fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend.dwr import Arch, Backbone
from bnnhw.compiler.ir import BinaryConv, Graph
from bnnhw.compiler.ir.interpret import batches
from bnnhw.errors import BnnhwError
from bnnhw.models.reshape import A, fit, free_widths, with_free_widths

Maps = NDArray[np.floating[Any]]
EPS_IMAGENET, EPS_CIFAR = 0.008, 0.021
"""Cosine distance of neighbours, as published; the latter for VGG-11."""
MIN_SAMPLES = 5
"""Channels, itself among them, that make one the core of a cluster, as published."""


def prune(
    arch: A, maps: Sequence[Maps], budget: int, *, eps: float = EPS_IMAGENET, min_samples: int = MIN_SAMPLES
) -> A:
    """The network with the widths that survive clustering, brought to ``budget`` products of bits.

    ``maps``: one array (N, H, W, channels) for every width that may change, as `feature_maps` gives them: a Backbone's
    stages, a Vgg's convolutions but the last. Channels move from where they are alike to where they differ.

    Raises BnnhwError: another number of maps or channels than ``arch`` has; as `surviving` and `fit`.
    """
    widths = free_widths(arch)
    if len(maps) != len(widths):
        raise BnnhwError(f"maps must be {len(widths)}, one for each width, not {len(maps)}")
    for number, (width, found) in enumerate(zip(widths, maps, strict=True)):
        if np.ndim(found) != 4 or found.shape[3] != width:
            raise BnnhwError(f"maps[{number}] must have shape (N, H, W, {width}), not {np.shape(found)}")
    left = [surviving(found, eps=eps, min_samples=min_samples) for found in maps]
    return fit(with_free_widths(arch, left), budget)


def surviving(maps: Maps, *, eps: float = EPS_IMAGENET, min_samples: int = MIN_SAMPLES) -> int:
    """How many channels of ``maps`` (N, H, W, channels) differ: DBSCAN's clusters and the channels that are in none.

    A channel is its mean over the images, a vector of H * W values; channels are near at a cosine distance of at most
    ``eps``. A channel that is 0 everywhere has no direction and is near none. Deterministic.

    Raises BnnhwError: not such an array, empty, or not finite; eps not above 0; min_samples below 1.
    """
    maps = np.asarray(maps)
    if maps.ndim != 4 or not maps.size:
        raise BnnhwError(f"maps must have shape (N, H, W, channels) and at least one value, not {maps.shape}")
    if not np.isfinite(maps).all():
        raise BnnhwError("maps must be finite, not NaN or infinity")
    if not eps > 0:
        raise BnnhwError(f"eps must be above 0, not {eps}")
    if min_samples < 1:
        raise BnnhwError(f"min_samples must be at least 1, not {min_samples}")
    try:
        from sklearn.cluster import DBSCAN
    except ImportError:
        raise BnnhwError("pruning needs scikit-learn, which is not installed: pip install scikit-learn") from None
    channels = maps.mean(axis=0, dtype=np.float64).reshape(-1, maps.shape[3]).T
    labels = DBSCAN(eps=eps, min_samples=min_samples, metric="cosine").fit(channels).labels_
    return int((labels < 0).sum()) + len(set(labels[labels >= 0].tolist()))


def feature_maps(graph: Graph, arch: Arch, images: NDArray[np.uint8]) -> list[Maps]:
    """What `prune` looks at: results of a network's binary convolutions on ``images`` (N, H, W, C), the last of each
    stage of a Backbone, all but the last of a Vgg.

    ``graph`` is a network of ``arch``, trained or not: its binary convolutions count in their order. The published
    choice is 200 random images of ImageNet, 400 of CIFAR-10. Raises BnnhwError where the graph has other convolutions.
    """
    convs = {node.name: node.op.sign.shape[1::-1] for node in graph.nodes if isinstance(node.op, BinaryConv)}
    names, found = list(convs), list(convs.values())
    needed = [(layer.ins, layer.outs) for layer in arch.layers()]
    if found != needed:
        written = (", ".join(f"{ins} to {outs}" for ins, outs in one) for one in (needed, found))
        raise BnnhwError("binary convolutions of the network must be {}, as its backbone says, not {}".format(*written))
    ends = np.cumsum(arch.depths) - 1 if isinstance(arch, Backbone) else range(len(names) - 1)
    wanted = [names[end] for end in ends]
    parts = list(batches(graph, images, set(wanted)))
    return [np.concatenate([part[name] for part in parts]) for name in wanted]


__all__ = ["EPS_CIFAR", "EPS_IMAGENET", "MIN_SAMPLES", "feature_maps", "prune", "surviving"]
