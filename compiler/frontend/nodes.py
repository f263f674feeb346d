"""What importers of checkpoints share: nodes named by their checkpoint keys, batch norms, checks of their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.ir import BatchNorm, Node, Op, Shortcut
from bnnhw.errors import FileFormatError

NORM = ("weight", "bias", "running_mean", "running_var")
"""Arrays of a batch norm in a state dict."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation with which ImageNet's images are normalised, per channel."""

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class NodeBuilder:
    """Nodes of a network in order; every method returns the name of the node it added last."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.nodes: list[Node] = []

    def add(self, name: str, op: Op, *inputs: str) -> str:
        """A node of its own name."""
        self.nodes.append(Node(name, op, inputs))
        return name

    def norm(self, at: str, x: str) -> str:
        """The batch norm whose arrays are ``at``.weight and so on."""
        gamma, beta, mean, var = (self.state[f"{at}.{part}"] for part in NORM)
        return self.add(at, BatchNorm(gamma, beta, mean, var), x)

    def thin_shortcut(self, name: str, stride: int, ins: int, outs: int, x: str) -> str:
        """ResNet's option A, without weights: every ``stride``-th pixel, zero channels before and after."""
        before = (outs - ins) // 2
        return self.add(name, Shortcut(stride, before, outs - ins - before), x)


def signs(upper: NDArray[np.bool_]) -> NDArray[np.int32]:
    """+1 where true, else -1; the numbers are made in their final size, as there are millions of them."""
    return np.where(upper, np.int32(1), np.int32(-1))


def norm_shapes(at: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a batch norm's arrays by key."""
    return {f"{at}.{part}": (channels,) for part in NORM}


def check_variances(path: Path, state: State) -> None:
    """Raises FileFormatError naming a running variance that is negative."""
    for key, value in state.items():
        if key.endswith("running_var") and (value < 0).any():
            raise FileFormatError(f"checkpoint {path}: '{key}' must not be negative, not {value.min():g}")
