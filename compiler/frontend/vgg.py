"""VGG-small for CIFAR-10 with AdaBin's or with SNN's convolutions as float networks, without torch.

Six 3x3 convolutions, the first of them real, and one dense layer; three max pools, right behind their convolutions.
Both papers give results for it, neither's public code has it: bends and signs are those of their residual networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bnnhw.compiler.frontend import adabin, snn
from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.nodes import CIFAR_CLASSES, IMAGENET, norm_shapes
from bnnhw.compiler.ir import Conv, Flatten, Graph, Input, MaxPool

PRECISION = {"value": 18, "factor": 18}
LARGEST_MEAN, LARGEST_VAR = 1.03, 0.49
"""Mean and variance of the largest of four numbers that are normal with mean 0 and variance 1."""


@dataclass(frozen=True)
class Arch:
    """A network of the family. ``widths``: channels of each pair of convolutions, the size is halved behind it;
    ``tau``: bits of a sub-bit kernel's index (SNN), None for two-value weights and activations (AdaBin)."""

    tau: int | None = None
    widths: tuple[int, ...] = (128, 256, 512)
    size: int = 32
    classes: int = 10

    def convolutions(self) -> list[tuple[int, int, int, bool]]:
        """(number, channels in, channels out, whether a max pool follows) of every binary convolution."""
        outs = [width for width in self.widths for _ in range(2)]
        return [(n, outs[n - 1], outs[n], n % 2 == 1) for n in range(1, len(outs))]

    @property
    def features(self) -> int:
        """What the dense layer reads."""
        return self.widths[-1] * (self.size >> len(self.widths)) ** 2

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array by name."""
        first = self.widths[0]
        shapes: dict[str, tuple[int, ...]] = {"conv0.weight": (first, 3, 3, 3)}
        if self.tau is None:
            shapes |= norm_shapes("bn0", first) | adabin.slope_shapes("nonlinear0", first)
        else:
            shapes |= norm_shapes("layer0.bn1", first) | snn.bend_shapes("layer0.", first)
        for n, ins, outs, _ in self.convolutions():
            if self.tau is None:
                shapes |= adabin.conv_shapes(f"conv{n}", ins, outs) | norm_shapes(f"bn{n}", outs)
                shapes |= adabin.slope_shapes(f"nonlinear{n}", outs)
            else:
                shapes |= snn.block_shapes(f"layer{n}.", ins, outs, self.tau)
        return shapes | {"fc.weight": (self.classes, self.features), "fc.bias": (self.classes,)}


ARCHS = {"adabin_vgg": Arch(), "snn_vgg": Arch(tau=5)}


def graph_of(arch: Arch, state: State, **meta: Any) -> Graph:
    """The float network for the arrays of ``arch.shapes()``; ``meta`` is added to the graph's metadata."""
    build = _TwoValue(state) if arch.tau is None else _SubBit(state)
    x = build.add("input", Input(3, arch.size, arch.size, *(np.array(values, np.float32) for values in IMAGENET)))
    x = build.add("conv0", Conv(state["conv0.weight"], pad=1), x)
    x = build.bent(0, x)
    for n, _, _, pooled in arch.convolutions():
        x = build.binary(n, x)
        if pooled:
            x = build.add(f"pool{n}", MaxPool(2, 2), x)
        x = build.bent(n, x)
    x = build.add(
        "fc", Conv(state["fc.weight"][:, :, None, None], state["fc.bias"]), build.add("flatten", Flatten(), x)
    )
    about = {"paper": build.paper, "widths": dict(PRECISION), "classes": list(CIFAR_CLASSES)}
    return Graph(tuple(build.nodes), x, about | meta).verify()


class _TwoValue(adabin.Builder):
    """AdaBin's layers by number."""

    paper = adabin.PAPER

    def binary(self, n: int, x: str) -> str:
        """Convolution ``n`` of the bits of ``x``."""
        return self.conv(f"conv{n}", 1, self.bits(f"conv{n}", x))

    def bent(self, n: int, x: str) -> str:
        """Batch norm and non-linearity behind convolution ``n``."""
        return self.slopes(f"nonlinear{n}", self.norm(f"bn{n}", x))


class _SubBit(snn.Builder):
    """SNN's layers by number."""

    paper = snn.PAPER

    def binary(self, n: int, x: str) -> str:
        """Convolution ``n`` of the bits of ``x``."""
        return self.conv(f"layer{n}.", 1, self.bits(f"layer{n}.", x))

    def bent(self, n: int, x: str) -> str:
        """Batch norm and non-linearity behind convolution ``n``."""
        at = f"layer{n}."
        return self.bend(at, self.norm(f"{at}bn1", x))


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    arch = arch or ARCHS[name]
    return graph_of(arch, random_state(arch, seed), name=name, weights="untrained")


def random_state(arch: Arch, seed: int) -> State:
    """Random arrays for ``arch.shapes()``; behind a max pool with the statistics of the largest of four values."""
    make = adabin.random_state if arch.tau is None else snn.random_state
    state = make(arch.shapes(), seed)
    for n, _, _, pooled in arch.convolutions():
        if pooled:
            norm = f"bn{n}" if arch.tau is None else f"layer{n}.bn1"
            state[f"{norm}.running_mean"] += LARGEST_MEAN * np.sqrt(state[f"{norm}.running_var"])
            state[f"{norm}.running_var"] *= LARGEST_VAR
    return state
