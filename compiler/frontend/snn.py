"""SNN's residual networks: from the arrays of an official ImageNet checkpoint to the float network, without torch.

The networks are ReActNet's: a shortcut around every binary 3x3 convolution, RSign before it, RPReLU behind the sum. A
checkpoint holds real weights and real codebook patterns; the kernels that count are recomputed from both. Sources: the
official code (step2/birealnet.py, step2/modules) and the paper, ICCV 2021, arXiv 2110.09195.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend import checkpoint
from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.nodes import IMAGENET, NodeBuilder, check_variances, norm_shapes, signs
from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    Bias,
    Binarize,
    BinaryConv,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    TwoSlope,
)

PAPER = "SNN, ICCV 2021, arXiv 2110.09195"
SETTLED = 1e-3
"""Patterns smaller than this say nothing: training keeps the codeword bit that it had before, outside the file."""
PRECISION = {"value": 9, "factor": 18}
"""Bits of values, as wide as a block RAM's bytes: 56 x 56 x 64 of them must lie on chip. Scores do not get nearer to
those of the float network beyond 10 bits, since other roundings remain."""
ALL = 9
"""tau of a codebook that holds every 3x3 kernel: plain binary weights."""


@dataclass(frozen=True)
class Arch:
    """A network of the family. ``blocks``: convolutions of each stage; ``tau``: index bits, ALL for plain weights."""

    blocks: tuple[int, ...] = (4, 4, 4, 4)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    tau: int = 5
    size: int = 224
    classes: int = 1000

    def convolutions(self) -> list[tuple[str, int, int, int]]:
        """(key prefix, channels in, channels out, stride) of every binary convolution."""
        found, before = [], self.widths[0]
        for stage, (count, width) in enumerate(zip(self.blocks, self.widths, strict=True)):
            for block in range(count):
                found.append((f"layer{stage + 1}.{block}.", before, width, 2 if stage and not block else 1))
                before = width
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array by checkpoint key."""
        shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (self.widths[0], 3, 7, 7)}
        shapes |= norm_shapes("bn1", self.widths[0])
        for at, ins, outs, stride in self.convolutions():
            shapes |= block_shapes(at, ins, outs, self.tau)
            if stride == 2:
                shapes[f"{at}downsample.1.weight"] = (outs, ins, 1, 1)
                shapes |= norm_shapes(f"{at}downsample.2", outs)
        return shapes | {"fc.weight": (self.classes, self.widths[-1]), "fc.bias": (self.classes,)}


def block_shapes(at: str, ins: int, outs: int, tau: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays by key of RSign, sub-bit convolution, batch norm and RPReLU."""
    shapes: dict[str, tuple[int, ...]] = {f"{at}move0.bias": (1, ins, 1, 1)}
    shapes[f"{at}binary_conv.weight"] = (outs, ins, 3, 3)
    shapes[f"{at}binary_conv.binarize.patterns"] = (1 << tau, 9)
    return shapes | norm_shapes(f"{at}bn1", outs) | bend_shapes(at, outs)


def bend_shapes(at: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Shapes of an RPReLU's arrays by key."""
    shapes: dict[str, tuple[int, ...]] = {f"{at}move{n}.bias": (1, channels, 1, 1) for n in (1, 2)}
    return shapes | {f"{at}prelu.weight": (channels,)}


ARCHS = {
    "snn_r18": Arch(),
    "snn_r18_t6": Arch(tau=6),
    "snn_r18_t4": Arch(tau=4),
    "snn_r34": Arch(blocks=(6, 8, 12, 6)),
    "bnn_r18": Arch(tau=ALL),
    "bnn_r34": Arch(blocks=(6, 8, 12, 6), tau=ALL),
}


def importers() -> dict[str, Callable[[Path], Graph]]:
    """Importers of checkpoint files by architecture name; errors as `checkpoint.read` and `.check`."""
    return {name: partial(import_checkpoint, name=name) for name in ARCHS}


def import_checkpoint(path: Path, name: str) -> Graph:
    """The network in a ``checkpoint.pth.tar`` of the official second training step.

    Notices tell of codebook entries that the file leaves open, and of equal codewords.
    """
    state = checkpoint.read(path)
    checked = checkpoint.check(path, name, state, ARCHS[name].shapes())
    check_variances(path, checked)
    notices = [*checkpoint.unused(state), *_open_entries(checked)]
    return graph_of(ARCHS[name], checked, name=name, weights=f"imported from {path.name}", notices=notices)


def _open_entries(state: State) -> list[str]:
    """A notice where patterns are so small that the file does not say which bit they stand for, one for repeats."""
    notices = []
    patterns = {key: value for key, value in state.items() if key.endswith("patterns")}
    small = {key: int((np.abs(value) < SETTLED).sum()) for key, value in patterns.items()}
    if any(small.values()):
        first = next(key for key, count in small.items() if count)
        notices.append(
            f"{sum(small.values())} codebook entries are smaller than {SETTLED:g} (first in '{first}'): training keeps "
            "their bits outside the checkpoint, their signs were taken"
        )
    repeats = {key: len(value) - len(np.unique(value >= 0, axis=0)) for key, value in patterns.items()}
    if any(repeats.values()):
        first = next(key for key, count in repeats.items() if count)
        notices.append(f"{sum(repeats.values())} codewords repeat another of their layer (first in '{first}')")
    return notices


def codebook_conv(weight: NDArray[np.float32], patterns: NDArray[np.float32], *, stride: int, pad: int) -> BinaryConv:
    """Every real kernel (O, I, 3, 3) becomes the nearest codeword, scaled by the mean magnitude of its filter.

    The nearest of words of equal length is the one of largest dot product; the first of several. A codebook of all
    kernels is none: the sign of the weights.
    """
    alpha = np.abs(weight.astype(np.float64)).mean(axis=(1, 2, 3))
    beta = np.zeros(len(weight))
    words = signs(patterns >= 0)
    if len(np.unique(words, axis=0)) == 1 << ALL:
        return BinaryConv(signs(weight >= 0), alpha, beta, stride, pad)
    kernels = weight.reshape(*weight.shape[:2], 9).astype(np.float64)
    index = np.concatenate([(rows @ words.T).argmax(axis=1)[None] for rows in kernels])
    sign = words[index].reshape(weight.shape)
    return BinaryConv(sign, alpha, beta, stride, pad, words=words, index=index)


def graph_of(arch: Arch, state: State, **meta: Any) -> Graph:
    """The float network for the arrays of ``arch.shapes()``; ``meta`` is added to the graph's metadata."""
    build = Builder(state)
    constants = (np.array(values, np.float32) for values in IMAGENET)
    x = build.add("input", Input(3, arch.size, arch.size, *constants))
    x = build.norm("bn1", build.add("conv1", Conv(state["conv1.weight"], stride=2, pad=3), x))
    x = build.add("maxpool", MaxPool(3, 2, 1), x)
    for at, _, _, stride in arch.convolutions():
        bits = build.bits(at, x)
        if stride == 2:  # before the convolution: then x need not be kept beside its result
            x = build.pooled_shortcut(at, x)
        y = build.norm(f"{at}bn1", build.conv(at, stride, bits))
        x = build.bend(at, build.add(f"{at}add", Add(), y, x))
    x = build.add("avgpool", GlobalAvgPool(), x)
    x = build.add("fc", Conv(state["fc.weight"][:, :, None, None], state["fc.bias"]), x)
    return Graph(tuple(build.nodes), x, {"paper": PAPER, "widths": PRECISION} | meta).verify()


class Builder(NodeBuilder):
    """Adds nodes named by their checkpoint keys."""

    def bits(self, at: str, x: str) -> str:
        """RSign."""
        return self.add(f"{at}move0", Binarize(-self.state[f"{at}move0.bias"].reshape(-1)), x)

    def conv(self, at: str, stride: int, bits: str) -> str:
        """The sub-bit 3x3 convolution."""
        weight, patterns = (self.state[f"{at}binary_conv.{part}"] for part in ("weight", "binarize.patterns"))
        return self.add(f"{at}binary_conv", codebook_conv(weight, patterns, stride=stride, pad=1), bits)

    def bend(self, at: str, x: str) -> str:
        """RPReLU."""
        move1, move2 = (self.state[f"{at}{part}.bias"] for part in ("move1", "move2"))
        x = self.prelu(at, self.add(f"{at}move1", Bias(move1.reshape(-1)), x))
        return self.add(f"{at}move2", Bias(move2.reshape(-1)), x)

    def prelu(self, at: str, x: str) -> str:
        """PReLU."""
        slopes = self.state[f"{at}prelu.weight"]
        return self.add(f"{at}prelu", TwoSlope(pos=np.ones_like(slopes), neg=slopes), x)

    def pooled_shortcut(self, at: str, x: str) -> str:
        """A 1x1 convolution and batch norm behind average pooling."""
        x = self.add(f"{at}downsample.0", AvgPool(2, 2), x)
        x = self.add(f"{at}downsample.1", Conv(self.state[f"{at}downsample.1.weight"]), x)
        return self.norm(f"{at}downsample.2", x)


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    arch = arch or ARCHS[name]
    return graph_of(arch, random_state(arch.shapes(), seed), name=name, weights="untrained")


def random_state(shapes: Mapping[str, tuple[int, ...]], seed: int) -> State:
    """Random arrays of these shapes, batch-norm statistics such as these weights give on binary maps.

    A sum of n signs has a variance near n, whatever the weights: so every batch norm has values of unit size at its
    output, the residual stream grows slowly, and thresholds cut it near its middle.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    ranges: Mapping[str, tuple[float, float]] = {
        "bias": (-0.2, 0.2), "move0.bias": (-0.6, 0.4), "move1.bias": (-0.3, 0.3), "move2.bias": (-0.3, 0.1),
        "prelu.weight": (0.05, 0.6), "slopes.neg_scale": (-0.2, 0.5), "slopes.pos_scale": (0.7, 1.1),
    }  # fmt: skip
    state: State = {}
    for key, shape in shapes.items():
        kind = ".".join(key.split(".")[-2:])
        if key.endswith("patterns"):
            chosen = np.sort(rng.permutation(1 << 9)[: shape[0]])
            value = (chosen[:, None] >> np.arange(8, -1, -1) & 1) * 2.0 - 1
        elif len(shape) > 1 and not key.endswith("bias"):
            value = rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))
        elif key.endswith("running_mean"):
            value = rng.normal(0, 0.3, shape) * _deviation(state, key)
        elif key.endswith("running_var"):
            value = rng.uniform(0.7, 1.3, shape) * _deviation(state, key) ** 2
        elif kind not in ranges and key.endswith("weight"):  # gamma
            value = rng.uniform(0.4, 0.8, shape) * np.where(rng.random(shape) < 0.05, -1, 1)
        else:
            value = rng.uniform(*ranges.get(kind, ranges["bias"]), shape)
        state[key] = np.asarray(value, np.float32)
    return state


def _deviation(state: State, key: str) -> NDArray[np.float64] | float:
    """Expected standard deviation of what the batch norm of ``key`` reads."""
    at = key.rsplit(".", 2)[0]
    conv = state.get(f"{at}.binary_conv.weight")
    if conv is None:
        return 1.0
    return np.abs(conv).mean(axis=(1, 2, 3)) * np.sqrt(np.prod(conv.shape[1:]))
