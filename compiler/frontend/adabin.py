"""AdaBin's official ResNets: from the arrays of a checkpoint to the float network, without torch.

Binarisation sits inside AdaBin's convolution. Activations become alpha * (sign((x - beta) / alpha) + beta), the form
of the official code: threshold beta, values alpha * beta +- |alpha|. Weights of filter o become their mean +- their
population standard deviation. Sources: the official code (cifar10/, imagenet/) and the paper, ECCV 2022, arXiv
2208.08084.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend import checkpoint
from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.nodes import CIFAR_CLASSES, IMAGENET, NodeBuilder, check_variances, norm_shapes, signs
from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    Binarize,
    BinaryConv,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    TwoSlope,
)
from bnnhw.errors import FileFormatError

PAPER = "AdaBin, ECCV 2022, arXiv 2208.08084"
SLOPES = ("neg_scale", "pos_scale")
UNUSED = re.compile(r"^(nonlinear2\.(neg|pos)_scale|bn3\.(weight|bias|running_mean|running_var))$")
"""Keys of the ImageNet networks that the official code makes and never reads."""


@dataclass(frozen=True)
class Arch:
    """A network of the family: blocks of two convolutions, each with its own shortcut.

    ``blocks``: of each stage; ``shortcut`` where a stage begins: every second pixel and zero channels ("thin"), a 1x1
    convolution of stride 2 ("conv"), or one behind average pooling ("pool"); ``photographs``: the stem is a 7x7
    convolution and a max pool, else 3x3; ``stem_bits``: of its weights; ``value``, ``factor``: bits in the engine.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    blocks: tuple[int, ...] = (3, 3, 3)
    shortcut: Literal["thin", "conv", "pool"] = "thin"
    photographs: bool = False
    size: int = 32
    classes: int = 10
    stem_bits: int = 18
    value: int = 25
    factor: int = 21

    @property
    def head(self) -> str:
        """Key of the dense layer."""
        return "fc" if self.photographs else "linear"

    @property
    def side(self) -> tuple[str, str] | None:
        """Keys, in a block, of the shortcut's convolution and batch norm; None where it has no parameters."""
        keys = {"thin": None, "conv": ("shortcut.0", "shortcut.1"), "pool": ("downsample.1", "downsample.2")}
        return keys[self.shortcut]

    def convolutions(self) -> list[tuple[str, int, int, int, int]]:
        """(key prefix of the block, 1 or 2, channels in, channels out, stride) of every two-value convolution."""
        found, before = [], self.widths[0]
        for stage, (count, width) in enumerate(zip(self.blocks, self.widths, strict=True)):
            for block in range(count):
                for half in (1, 2):
                    stride = 2 if stage and not block and half == 1 else 1
                    found.append((f"layer{stage + 1}.{block}.", half, before, width, stride))
                    before = width
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array by checkpoint key."""
        kernel = 7 if self.photographs else 3
        shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (self.widths[0], 3, kernel, kernel)}
        shapes |= norm_shapes("bn1", self.widths[0]) | slope_shapes("nonlinear1", self.widths[0])
        for at, half, ins, outs, stride in self.convolutions():
            shapes |= conv_shapes(f"{at}conv{half}", ins, outs) | norm_shapes(f"{at}bn{half}", outs)
            shapes |= slope_shapes(f"{at}nonlinear{half}", outs)
            if stride == 2 and self.side is not None:
                conv, norm = self.side
                shapes[f"{at}{conv}.weight"] = (outs, ins, 1, 1)
                shapes |= norm_shapes(f"{at}{norm}", outs)
        shapes |= norm_shapes("bn2", self.widths[-1])
        return shapes | {f"{self.head}.weight": (self.classes, self.widths[-1]), f"{self.head}.bias": (self.classes,)}


def conv_shapes(at: str, ins: int, outs: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a two-value 3x3 convolution's arrays by key."""
    return {f"{at}.weight": (outs, ins, 3, 3)} | {f"{at}.binary_a.{part}": () for part in ("alpha_a", "beta_a")}


def slope_shapes(at: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a Maxout's arrays by key."""
    return {f"{at}.{part}": (channels,) for part in SLOPES}


# Widths with which the hardware decides as the float network does. The small networks are chaotic: one flipped sign
# spreads through all later layers, so that an error of 1e-4 anywhere already changes 5 % of the decisions (accuracy
# stays). The maps of the large ones must fit block RAMs of 9 bits.
_WIDE = (64, 128, 256, 512)
_PHOTOGRAPHS = partial(
    Arch, _WIDE, shortcut="pool", photographs=True, size=224, classes=1000, stem_bits=8, value=9, factor=18
)
ARCHS = {
    "adabin_r20": Arch(),
    "adabin_r18_cifar": Arch(_WIDE, (2, 2, 2, 2), "conv", stem_bits=8, value=18, factor=18),
    "adabin_r18": _PHOTOGRAPHS(blocks=(2, 2, 2, 2)),
    "adabin_r34": _PHOTOGRAPHS(blocks=(3, 4, 6, 3)),
}


def importers() -> dict[str, Callable[[Path], Graph]]:
    """Importers of checkpoint files by architecture name; errors as `checkpoint.read` and `.check`."""
    return {name: partial(import_checkpoint, name=name) for name in ARCHS}


def import_checkpoint(path: Path, name: str) -> Graph:
    """The network in a checkpoint of the official training scripts."""
    state, arch = checkpoint.read(path), ARCHS[name]
    ignored = UNUSED if arch.photographs else None
    checked = checkpoint.check(path, name, state, arch.shapes(), ignored)
    check_variances(path, checked)
    for key, value in checked.items():
        if key.endswith("alpha_a") and value == 0:
            raise FileFormatError(f"checkpoint {path}: '{key}' must not be 0")
    notices = checkpoint.unused(state, ignored)
    return graph_of(arch, checked, name=name, weights=f"imported from {path.name}", notices=notices)


def graph_of(arch: Arch, state: State, **meta: Any) -> Graph:
    """The float network for the arrays of ``arch.shapes()``; ``meta`` is added to the graph's metadata."""
    build = Builder(state)
    # AdaBin normalises CIFAR images with ImageNet's constants too
    constants = (np.array(values, np.float32) for values in IMAGENET)
    x = build.add("input", Input(3, arch.size, arch.size, *constants))
    stride, pad = (2, 3) if arch.photographs else (1, 1)
    x = build.add("conv1", Conv(state["conv1.weight"], None, stride, pad, weight_bits=arch.stem_bits), x)
    x = build.slopes("nonlinear1", build.norm("bn1", x))
    if arch.photographs:
        x = build.add("maxpool", MaxPool(3, 2, 1), x)
    for at, half, _, _, stride in arch.convolutions():
        x = build.half(arch, at, half, stride, x)
    x = build.norm("bn2", build.add("avgpool", GlobalAvgPool(), x))
    weight, bias = (state[f"{arch.head}.{part}"] for part in ("weight", "bias"))
    x = build.add(arch.head, Conv(weight[:, :, None, None], bias), x)
    about: dict[str, Any] = {"paper": PAPER, "widths": {"value": arch.value, "factor": arch.factor}}
    if arch.classes == len(CIFAR_CLASSES):
        about["classes"] = list(CIFAR_CLASSES)
    return Graph(tuple(build.nodes), x, about | meta).verify()


class Builder(NodeBuilder):
    """Adds nodes named by their checkpoint keys."""

    def slopes(self, at: str, x: str) -> str:
        """A Maxout."""
        neg, pos = (self.state[f"{at}.{part}"] for part in SLOPES)
        return self.add(at, TwoSlope(pos=pos, neg=neg), x)

    def bits(self, conv: str, x: str) -> str:
        """The two values of a convolution's input."""
        alpha, beta = (float(self.state[f"{conv}.binary_a.{part}"]) for part in ("alpha_a", "beta_a"))
        channels = self.state[f"{conv}.weight"].shape[1]
        return self.add(f"{conv}.binary_a", activation(alpha, beta, channels), x)

    def conv(self, at: str, stride: int, bits: str) -> str:
        """The two-value 3x3 convolution."""
        return self.add(at, two_value_conv(self.state[f"{at}.weight"], stride=stride, pad=1), bits)

    def half(self, arch: Arch, at: str, half: int, stride: int, x: str) -> str:
        """One two-value convolution with batch norm, shortcut and slopes."""
        conv = f"{at}conv{half}"
        bits = self.bits(conv, x)
        if stride == 2:  # before the convolution: then x need not be kept beside its result
            x = self.shortcut(arch, at, x)
        y = self.norm(f"{at}bn{half}", self.conv(conv, stride, bits))
        return self.slopes(f"{at}nonlinear{half}", self.add(f"{at}add{half}", Add(), y, x))

    def shortcut(self, arch: Arch, at: str, x: str) -> str:
        """The shortcut at the beginning of a stage."""
        if arch.side is None:
            outs, ins, _, _ = self.state[f"{at}conv1.weight"].shape
            return self.thin_shortcut(f"{at}shortcut", 2, ins, outs, x)
        conv, norm = arch.side
        if arch.shortcut == "pool":
            x = self.add(f"{at}downsample.0", AvgPool(2, 2), x)
        stride = 1 if arch.shortcut == "pool" else 2
        return self.norm(
            f"{at}{norm}", self.add(f"{at}{conv}", Conv(self.state[f"{at}{conv}.weight"], None, stride), x)
        )


def activation(alpha: float, beta: float, channels: int) -> Binarize:
    """alpha * (sign((x - beta) / alpha) + beta). The two signs of a negative alpha cancel: only |alpha| counts."""
    return Binarize(np.full(channels, beta, np.float32), alpha * beta - abs(alpha), alpha * beta + abs(alpha))


def two_value_conv(weight: NDArray[np.float32], *, stride: int, pad: int, groups: int = 1) -> BinaryConv:
    """Mean and population standard deviation of each filter, and the sign of the rest (sign(0) = +1)."""
    exact = weight.astype(np.float64)
    beta = exact.mean(axis=(1, 2, 3), keepdims=True)
    alpha = np.sqrt(((exact - beta) ** 2).mean(axis=(1, 2, 3)))
    return BinaryConv(signs(exact >= beta), alpha, beta.reshape(-1), stride, pad, groups)


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    arch = arch or ARCHS[name]
    return graph_of(arch, random_state(arch.shapes(), seed), name=name, weights="untrained")


def random_state(shapes: Mapping[str, tuple[int, ...]], seed: int) -> State:
    """Random arrays of these shapes that keep values of every layer near unit size; some gammas negative."""
    rng = np.random.Generator(np.random.PCG64(seed))
    ranges: Mapping[str, tuple[float, float]] = {
        "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3), "running_var": (0.5, 1.5), "neg_scale": (-0.2, 0.5),
        "pos_scale": (0.7, 1.1), "alpha_a": (0.4, 0.9), "beta_a": (-0.1, 0.6),
    }  # fmt: skip
    state: State = {}
    for key, shape in shapes.items():
        if len(shape) > 1:
            value = rng.normal(0.02, 1, shape) / np.sqrt(np.prod(shape[1:]))
        elif key.endswith("weight"):
            value = rng.uniform(0.3, 0.6, shape) * np.where(rng.random(shape) < 0.1, -1, 1)
        else:
            value = rng.uniform(*ranges[key.rsplit(".", 1)[1]], shape)
        state[key] = np.asarray(value, np.float32)
    return state
