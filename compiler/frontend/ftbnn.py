"""FTBNN's residual networks as float networks with seeded weights: grouped binary convolutions, tuned non-linearities.

Our reading of the abstract (arXiv 2010.09294): group execution to widen a network at about the same products, and a
non-linearity of two slopes whose kind and place are parameters. The paper's tables are not public in code. Around the
convolutions stands what SNN's networks have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bnnhw.compiler.frontend import adabin, snn
from bnnhw.compiler.frontend.nodes import CIFAR_CLASSES, IMAGENET, norm_shapes, signs
from bnnhw.compiler.ir import (
    Add,
    BinaryConv,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    TwoSlope,
)
from bnnhw.errors import BnnhwError

PAPER = "FTBNN, arXiv 2010.09294 (our reading of the abstract)"
Kind = Literal["prelu", "two_slope", "rprelu", "none"]
Place = Literal["before_norm", "before_add", "after_add"]
PRECISION = {"value": 9, "factor": 18}
"""Bits of the values of networks for photographs, as wide as a block RAM's bytes."""


@dataclass(frozen=True)
class Arch:
    """A network of the family.

    ``widths``, ``blocks``: channels and convolutions of each stage, all but the first at half the size of the one
    before; ``group``: channels of a group, but where the number of channels changes all are one, so that groups mix;
    ``kind``: one learned slope, two, one between two biases (RPReLU), or none; ``place``: before batch norm, behind it,
    or behind the sum with the shortcut; ``photographs``: a 7x7 stem with max pooling and shortcuts of average pooling
    and a real 1x1 convolution, or else a 3x3 stem and shortcuts without weights.

    Raises BnnhwError where ``group`` does not divide every width.
    """

    widths: tuple[int, ...] = (128, 256, 512, 1024)
    blocks: tuple[int, ...] = (4, 4, 4, 4)
    group: int = 64
    kind: Kind = "two_slope"
    place: Place = "after_add"
    photographs: bool = True
    size: int = 224
    classes: int = 1000

    def __post_init__(self) -> None:
        if self.group < 1 or any(width % self.group for width in self.widths):
            raise BnnhwError(f"group must divide all widths {self.widths}, not be {self.group}")

    def convolutions(self) -> list[tuple[str, int, int, int]]:
        """(key prefix, channels in, channels out, stride) of every binary convolution."""
        return snn.Arch(self.blocks, self.widths).convolutions()

    def groups(self, ins: int, outs: int) -> int:
        """Of a convolution of so many channels."""
        return outs // self.group if ins == outs else 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array by name."""
        first, kernel = self.widths[0], 7 if self.photographs else 3
        shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (first, 3, kernel, kernel)} | norm_shapes("bn1", first)
        if not self.photographs:
            shapes |= bend_shapes("stem.", "rprelu", first)
        for at, ins, outs, stride in self.convolutions():
            shapes[f"{at}move0.bias"] = (ins,)
            shapes[f"{at}binary_conv.weight"] = (outs, ins // self.groups(ins, outs), 3, 3)
            shapes |= norm_shapes(f"{at}bn1", outs) | bend_shapes(at, self.kind, outs)
            if stride == 2 and self.photographs:
                shapes[f"{at}downsample.1.weight"] = (outs, ins, 1, 1)
                shapes |= norm_shapes(f"{at}downsample.2", outs)
        return shapes | {"fc.weight": (self.classes, self.widths[-1]), "fc.bias": (self.classes,)}


def bend_shapes(at: str, kind: Kind, channels: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a non-linearity's arrays by name."""
    if kind == "two_slope":
        return adabin.slope_shapes(f"{at}slopes", channels)
    if kind == "rprelu":
        return snn.bend_shapes(at, channels)
    return {f"{at}prelu.weight": (channels,)} if kind == "prelu" else {}


ARCHS = {"ftbnn_r18": Arch(), "ftbnn_r34": Arch(blocks=(6, 8, 12, 6))}


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    arch = arch or ARCHS[name]
    build = _Builder(snn.random_state(arch.shapes(), seed))
    constants = (np.array(values, np.float32) for values in IMAGENET)
    x = build.add("input", Input(3, arch.size, arch.size, *constants))
    stride, pad = (2, 3) if arch.photographs else (1, 1)
    x = build.norm("bn1", build.add("conv1", Conv(build.state["conv1.weight"], stride=stride, pad=pad), x))
    x = build.add("maxpool", MaxPool(3, 2, 1), x) if arch.photographs else build.bent("stem.", "rprelu", x)
    for at, ins, outs, stride in arch.convolutions():
        x = build.block(arch, at, ins, outs, stride, x)
    x = build.add("avgpool", GlobalAvgPool(), x)
    x = build.add("fc", Conv(build.state["fc.weight"][:, :, None, None], build.state["fc.bias"]), x)
    about: dict[str, Any] = {"paper": PAPER, "name": name, "weights": "untrained"}
    if arch.photographs:
        about["widths"] = dict(PRECISION)
    if arch.classes == len(CIFAR_CLASSES):
        about["classes"] = list(CIFAR_CLASSES)
    return Graph(tuple(build.nodes), x, about).verify()


class _Builder(snn.Builder):
    """Adds nodes named by their arrays."""

    def bent(self, at: str, kind: Kind, x: str) -> str:
        """The non-linearity."""
        if kind == "none":
            return x
        if kind == "rprelu":
            return self.bend(at, x)
        if kind == "two_slope":
            neg, pos = (self.state[f"{at}slopes.{part}"] for part in adabin.SLOPES)
            return self.add(f"{at}slopes", TwoSlope(pos=pos, neg=neg), x)
        return self.prelu(at, x)

    def block(self, arch: Arch, at: str, ins: int, outs: int, stride: int, x: str) -> str:
        """A binary convolution with a shortcut of its own."""
        bits = self.bits(at, x)
        weight = self.state[f"{at}binary_conv.weight"]
        if stride == 2:  # before the convolution: then x need not be kept beside its result
            if arch.photographs:
                x = self.pooled_shortcut(at, x)
            else:
                x = self.thin_shortcut(f"{at}shortcut", stride, ins, outs, x)
        alpha = np.abs(weight).mean(axis=(1, 2, 3))
        conv = BinaryConv(signs(weight >= 0), alpha, 0 * alpha, stride, 1, arch.groups(ins, outs))
        y = self.add(f"{at}binary_conv", conv, bits)

        def bent(place: Place, value: str) -> str:
            return self.bent(at, arch.kind, value) if arch.place == place else value

        y = bent("before_add", self.norm(f"{at}bn1", bent("before_norm", y)))
        return bent("after_add", self.add(f"{at}add", Add(), y, x))
