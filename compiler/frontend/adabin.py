"""AdaBin's official CIFAR-10 ResNet-20: from the arrays of its checkpoint to the float network, without torch.

Binarisation sits inside AdaBin's convolution. Activations become alpha * (sign((x - beta) / alpha) + beta), the form
of the official code: threshold beta, values alpha * beta +- |alpha|. Weights of filter o become their mean +- their
population standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend import checkpoint
from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.nodes import IMAGENET, NodeBuilder, check_variances, norm_shapes
from bnnhw.compiler.ir import (
    Add,
    Binarize,
    BinaryConv,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    Shortcut,
    TwoSlope,
)
from bnnhw.errors import FileFormatError

PAPER = "AdaBin, ECCV 2022, arXiv 2208.08084"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WIDTHS = (16, 32, 64)
BLOCKS = 3


def import_r20(path: Path) -> Graph:
    """The network of an official ``resnet20_1w1a`` checkpoint file; errors as `checkpoint.read` and `.check`."""
    state = checkpoint.read(path)
    checked = checkpoint.check(path, "adabin_r20", state, r20_shapes())
    check_variances(path, checked)
    for key, value in checked.items():
        if key.endswith("alpha_a") and value == 0:
            raise FileFormatError(f"checkpoint {path}: '{key}' must not be 0")
    return r20_graph(checked, weights=f"imported from {path.name}", notices=checkpoint.unused(state))


def r20_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every array of the network by checkpoint key."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (WIDTHS[0], 3, 3, 3)}
    shapes |= norm_shapes("bn1", WIDTHS[0])
    _add_slopes(shapes, "nonlinear1", WIDTHS[0])
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in range(BLOCKS):
            for half in (1, 2):
                at = f"layer{stage}.{block}."
                shapes[f"{at}conv{half}.weight"] = (width, before, 3, 3)
                shapes[f"{at}conv{half}.binary_a.alpha_a"] = ()
                shapes[f"{at}conv{half}.binary_a.beta_a"] = ()
                shapes |= norm_shapes(f"{at}bn{half}", width)
                _add_slopes(shapes, f"{at}nonlinear{half}", width)
                before = width
    shapes |= norm_shapes("bn2", before)
    return shapes | {"linear.weight": (len(CLASSES), before), "linear.bias": (len(CLASSES),)}


def _add_slopes(shapes: dict[str, tuple[int, ...]], at: str, channels: int) -> None:
    shapes.update({f"{at}.{part}": (channels,) for part in ("neg_scale", "pos_scale")})


PRECISION = {"value": 25, "factor": 21}
STEM_BITS = 18
"""Bits with which the hardware decides as the float network does. These networks are chaotic: one flipped sign spreads
through all later layers, so that an error of 1e-4 anywhere already changes 5 % of the decisions (accuracy stays)."""


def r20_graph(state: State, **meta: Any) -> Graph:
    """The float network for the arrays of `r20_shapes`; ``meta`` is added to the graph's metadata."""
    build = _Builder(state)
    # AdaBin normalises CIFAR images with ImageNet's constants too
    x = build.add("input", Input(3, 32, 32, *(np.array(constants, np.float32) for constants in IMAGENET)))
    x = build.add("conv1", Conv(state["conv1.weight"], pad=1, weight_bits=STEM_BITS), x)
    x = build.slopes("nonlinear1", build.norm("bn1", x))
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in range(BLOCKS):
            for half in (1, 2):
                x = build.half(f"layer{stage}.{block}.", half, x, width, before)
                before = width
    x = build.norm("bn2", build.add("avgpool", GlobalAvgPool(), x))
    x = build.add("linear", Conv(state["linear.weight"][:, :, None, None], state["linear.bias"]), x)
    about = {"name": "adabin_r20", "paper": PAPER, "classes": list(CLASSES), "widths": dict(PRECISION)}
    return Graph(tuple(build.nodes), x, about | meta).verify()


class _Builder(NodeBuilder):
    """Adds nodes named by their checkpoint keys."""

    def slopes(self, at: str, x: str) -> str:
        return self.add(at, TwoSlope(pos=self.state[f"{at}.pos_scale"], neg=self.state[f"{at}.neg_scale"]), x)

    def half(self, at: str, half: int, x: str, width: int, before: int) -> str:
        """One two-value convolution with batch norm, shortcut and slopes."""
        conv, stride = f"{at}conv{half}", 1 if width == before else 2
        alpha = float(self.state[f"{conv}.binary_a.alpha_a"])
        beta = float(self.state[f"{conv}.binary_a.beta_a"])
        y = self.add(f"{conv}.binary_a", activation(alpha, beta, before), x)
        y = self.add(conv, two_value_conv(self.state[f"{conv}.weight"], stride=stride, pad=1), y)
        y = self.norm(f"{at}bn{half}", y)
        if width != before:
            side = (width - before) // 2
            x = self.add(f"{at}shortcut", Shortcut(stride, side, width - before - side), x)
        return self.slopes(f"{at}nonlinear{half}", self.add(f"{at}add{half}", Add(), y, x))


def activation(alpha: float, beta: float, channels: int) -> Binarize:
    """alpha * (sign((x - beta) / alpha) + beta). The two signs of a negative alpha cancel: only |alpha| counts."""
    return Binarize(np.full(channels, beta, np.float32), alpha * beta - abs(alpha), alpha * beta + abs(alpha))


def two_value_conv(weight: NDArray[np.float32], *, stride: int, pad: int, groups: int = 1) -> BinaryConv:
    """Mean and population standard deviation of each filter, and the sign of the rest (sign(0) = +1)."""
    exact = weight.astype(np.float64)
    beta = exact.mean(axis=(1, 2, 3), keepdims=True)
    alpha = np.sqrt(((exact - beta) ** 2).mean(axis=(1, 2, 3)))
    sign = np.where(exact >= beta, 1, -1)
    return BinaryConv(sign, alpha, beta.reshape(-1), stride, pad, groups)


def untrained_r20(seed: int = 1) -> Graph:
    """The same network with random weights and batch-norm statistics that fit them roughly; classifies nothing."""
    return r20_graph(random_state(seed), weights="untrained")


def random_state(seed: int) -> State:
    """Random arrays for `r20_shapes` that keep values of every layer near unit size; some gammas negative."""
    rng = np.random.Generator(np.random.PCG64(seed))
    ranges: Mapping[str, tuple[float, float]] = {
        "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3), "running_var": (0.5, 1.5), "neg_scale": (-0.2, 0.5),
        "pos_scale": (0.7, 1.1), "alpha_a": (0.4, 0.9), "beta_a": (-0.1, 0.6),
    }  # fmt: skip
    state: State = {}
    for key, shape in r20_shapes().items():
        if len(shape) > 1:
            value = rng.normal(0.02, 1, shape) / np.sqrt(np.prod(shape[1:]))
        elif key.endswith("weight"):
            value = rng.uniform(0.3, 0.6, shape) * np.where(rng.random(shape) < 0.1, -1, 1)
        else:
            value = rng.uniform(*ranges[key.rsplit(".", 1)[1]], shape)
        state[key] = np.asarray(value, np.float32)
    return state
