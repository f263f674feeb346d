"""PokeBNN networks as float graphs, from arrays by name, without torch.

A network is PokeInit, bottleneck blocks of three PokeConvs, global pooling and a dense layer. Sources: the official
code (google/aqt, jax_legacy/jax/imagenet/pokebnn.py and its configuration) and the paper, CVPR 2022, arXiv 2112.00133.
The image is read in its own 8 bits, where the official code rounds it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.nodes import IMAGENET, NodeBuilder, norm_shapes, signs
from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    BatchNorm,
    Bias,
    Binarize,
    BinaryConv,
    ChannelMean,
    Clamp,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    Levels,
    Scale,
    Shape,
    Shortcut,
    Tile,
    TwoSlope,
)

PAPER = "PokeBNN, CVPR 2022, arXiv 2112.00133"
EPS = 1e-5
BOUND = 3.0
"""Clip bound B of binary activations in the official code: a bit stands for +-B / 2."""
EXPANSION = 4
REDUCTION = 8
SE_BITS = 4
STEM = (32, 64)
"""Channels of PokeInit's two convolutions."""


@dataclass(frozen=True)
class PokeConv:
    """One PokeConv. ``size``: of its input map; ``long``: it adds the block's input, too; ``bound``: clip bound of its
    input's signs."""

    at: str
    ins: int
    outs: int
    kernel: int
    stride: int
    size: int
    long: bool
    bound: float = BOUND


@dataclass(frozen=True)
class Arch:
    """A network of the family. ``width``: multiplier of all channels but PokeInit's; ``base``, ``blocks``: channels and
    number of blocks of each stage; ``patch``: kernel and stride of PokeInit's first convolution; ``value``: bits of a
    stored value, few where maps are large: what they cost is moving them to and from the SDRAM; ``bound``: clip bound
    of binary activations."""

    width: float = 1.0
    base: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    size: int = 224
    patch: int = 4
    classes: int = 1000
    value: int = 9
    bound: float = BOUND

    def convolutions(self) -> list[PokeConv]:
        """All PokeConvs in order."""
        found: list[PokeConv] = []
        before, size = STEM[1], self.size // self.patch
        for stage, (base, count) in enumerate(zip(self.base, self.blocks, strict=True)):
            width = int(base * self.width)
            for block in range(count):
                stride = 2 if stage and not block else 1
                at = f"stage{stage + 1}.{block}."
                found.append(PokeConv(f"{at}conv1.", before, width, 1, 1, size, False, self.bound))
                found.append(PokeConv(f"{at}conv2.", width, width, 3, stride, size, False, self.bound))
                size //= stride
                before = EXPANSION * width
                found.append(PokeConv(f"{at}conv3.", width, before, 1, 1, size, True, self.bound))
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array by name."""
        first, second = STEM
        shapes: dict[str, tuple[int, ...]] = {"init.conv1.weight": (first, 3, self.patch, self.patch)}
        shapes |= norm_shapes("init.bn1", first) | _bend_shapes("init.act1.", first)
        shapes |= {"init.conv2.bound": (first,), "init.conv2.weight": (second, 1, 3, 3)}
        shapes |= norm_shapes("init.bn2", second) | _bend_shapes("init.act2.", second)
        for conv in self.convolutions():
            hidden = conv.ins // REDUCTION
            shapes[f"{conv.at}weight"] = (conv.outs, conv.ins, conv.kernel, conv.kernel)
            shapes |= norm_shapes(f"{conv.at}bn1", conv.outs) | _bend_shapes(f"{conv.at}act.", conv.outs)
            shapes |= {
                f"{conv.at}se.bound1": (conv.ins,),
                f"{conv.at}se.fc1.weight": (hidden, conv.ins),
                f"{conv.at}se.fc1.bias": (hidden,),
                f"{conv.at}se.bound2": (hidden,),
                f"{conv.at}se.fc2.weight": (conv.outs, hidden),
                f"{conv.at}se.fc2.bias": (conv.outs,),
            }
            shapes |= norm_shapes(f"{conv.at}bn2", conv.outs)
        last = self.convolutions()[-1].outs
        return shapes | {"fc.bound": (last,), "fc.weight": (self.classes, last), "fc.bias": (self.classes,)}


def _bend_shapes(at: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}{name}": (channels,) for name in ("bias_in", "pos", "neg", "bias_out")}


WIDTHS = {"0.5x": 0.5, "0.75x": 0.75, "1x": 1.0, "1.25x": 1.25, "1.5x": 1.5, "1.75x": 1.75, "2x": 2.0}
CIFAR = Arch(base=(32, 64, 128), blocks=(3, 3, 3), size=32, patch=2, classes=10, value=10)
"""Our version for 32x32: about as many products as ResNet-20."""
ARCHS = {f"pokebnn_{name}": Arch(width) for name, width in WIDTHS.items()} | {"pokebnn_cifar": CIFAR}


def graph_of(
    arch: Arch, state: State, *, mean: Sequence[float] = IMAGENET[0], std: Sequence[float] = IMAGENET[1], **meta: Any
) -> Graph:
    """The float network for the arrays of ``arch.shapes()``; ``meta`` is added to the graph's metadata. ``mean``,
    ``std``: of each colour, fractions of 255."""
    build = _Builder(state)
    x = build.add("input", Input(3, arch.size, arch.size, np.array(mean, np.float32), np.array(std, np.float32)))
    x = build.init(arch.patch, x)
    entry = x
    for conv in arch.convolutions():
        if conv.at.endswith("conv1."):
            entry = x
        x = build.poke_conv(conv, x, entry)
    x = build.add("avgpool", GlobalAvgPool(), x)
    x = build.add("fc.levels", _signed(state["fc.bound"], 8), x)
    x = build.add("fc", Conv(state["fc.weight"][:, :, None, None], state["fc.bias"]), x)
    own = {"paper": PAPER, "widths": {"value": arch.value, "factor": 18}, "few_bits": {"init.conv1": 8}}
    return Graph(tuple(build.nodes), x, own | meta).verify()


class _Builder(NodeBuilder):
    """Adds nodes named by their arrays; knows the shape of every map."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.shapes: dict[str, Shape] = {}

    def add(self, name: str, op: Any, *inputs: str) -> str:
        self.shapes[name] = op.shape([self.shapes[source] for source in inputs])
        return super().add(name, op, *inputs)

    def init(self, patch: int, x: str) -> str:
        """PokeInit: a convolution of patches and a grouped one, in 8 bits."""
        state = self.state
        x = self.add("init.conv1", Conv(state["init.conv1.weight"], stride=patch), x)
        x = self.bend("init.act1.", self.norm("init.bn1", x))
        x = self.add("init.levels", _signed(state["init.conv2.bound"], 8), x)
        x = self.add("init.conv2", Conv(state["init.conv2.weight"], None, 1, 1, STEM[0]), x)
        return self.bend("init.act2.", self.norm("init.bn2", x))

    def bend(self, at: str, x: str) -> str:
        """DPReLU: a PReLU of two slopes between two biases."""
        bias_in, pos, neg, bias_out = (self.state[f"{at}{name}"] for name in ("bias_in", "pos", "neg", "bias_out"))
        x = self.add(f"{at}bias_in", Bias(-bias_in), x)
        x = self.add(f"{at}slope", TwoSlope(pos, neg), x)
        return self.add(f"{at}bias_out", Bias(-bias_out), x)

    def poke_conv(self, conv: PokeConv, x: str, entry: str) -> str:
        """Binary convolution, norm, shortcuts, DPReLU, squeeze-excite, norm."""
        at, state = conv.at, self.state
        zeros = np.zeros(conv.ins, np.float32)
        y = self.add(f"{at}sign", Binarize(zeros, -conv.bound / 2, conv.bound / 2), x)
        y = self.add(f"{at}conv", _binary(state[f"{at}weight"], conv), y)
        y = self.norm(f"{at}bn1", y)
        y = self.add(f"{at}add1", Add(), y, self.reshaped(f"{at}local", x, self.shapes[y], _zero_padded))
        if conv.long:
            y = self.add(f"{at}add2", Add(), y, self.reshaped(f"{at}long", entry, self.shapes[y], _tiled))
        y = self.bend(f"{at}act.", y)
        y = self.add(f"{at}scale", Scale(), y, self.squeeze_excite(f"{at}se.", x))
        return self.norm(f"{at}bn2", y)

    def reshaped(self, at: str, x: str, wanted: Shape, widen: Callable[[int, int], Shortcut | Tile]) -> str:
        """reshape_add's map: channels averaged or added, then 3x3 average pooling where the size is halved."""
        channels = self.shapes[x][0]
        if channels > wanted[0]:
            x = self.add(f"{at}.mean", ChannelMean(channels // wanted[0], wanted[0]), x)
        if self.shapes[x][1] != wanted[1]:
            low = 0 if self.shapes[x][1] % 2 == 0 else 1
            x = self.add(f"{at}.pool", AvgPool(3, 2, low, pad_end=1), x)
        if channels < wanted[0]:
            x = self.add(f"{at}.wide", widen(channels, wanted[0]), x)
        return x

    def squeeze_excite(self, at: str, x: str) -> str:
        """Factors in 0..1 of the output's channels, from the input's means, by two dense layers of 4 bits."""
        state = self.state
        x = self.add(f"{at}pool", GlobalAvgPool(), x)
        x = self.add(f"{at}levels1", _signed(state[f"{at}bound1"], SE_BITS), x)
        x = self.add(f"{at}fc1", _dense(state, f"{at}fc1"), x)
        x = self.add(f"{at}relu", TwoSlope(*_relu(self.shapes[x][0])), x)
        step = state[f"{at}bound2"] / (1 << SE_BITS)
        x = self.add(f"{at}levels2", Levels(step, 0, (1 << SE_BITS) - 1, 0.0), x)
        x = self.add(f"{at}fc2", _dense(state, f"{at}fc2"), x)
        outs = self.shapes[x][0]
        ones, zeros = np.ones(outs, np.float32), np.zeros(outs, np.float32)
        x = self.add(f"{at}sigmoid", BatchNorm(ones / 6, ones / 2, zeros, ones, 0.0), x)
        return self.add(f"{at}clamp", Clamp(0.0, 1.0), x)


def _dense(state: State, at: str) -> Conv:
    return Conv(state[f"{at}.weight"][:, :, None, None], state[f"{at}.bias"], weight_bits=SE_BITS)


def _relu(channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.ones(channels, np.float32), np.zeros(channels, np.float32)


def _zero_padded(channels: int, wanted: int) -> Shortcut:
    return Shortcut(1, 0, wanted - channels)


def _tiled(channels: int, wanted: int) -> Tile:
    return Tile(wanted // channels)


def _signed(bound: NDArray[np.float32], bits: int) -> Levels:
    top = (1 << bits - 1) - 1
    return Levels(bound / top, -top, top)


def _binary(weight: NDArray[np.float32], conv: PokeConv) -> BinaryConv:
    """Weights of +-half the largest magnitude of their filter; padding as TensorFlow places it: nothing before the
    first row of a map of even size at stride 2."""
    alpha = np.maximum(weight.max(axis=(1, 2, 3)), -weight.min(axis=(1, 2, 3))) / 2
    pad = 0 if conv.kernel == 1 or (conv.stride == 2 and conv.size % 2 == 0) else 1
    end = 0 if conv.kernel == 1 else 1
    return BinaryConv(signs(weight >= 0), alpha, 0 * alpha, conv.stride, pad, pad_end=end)


def untrained(name: str, arch: Arch | None = None, seed: int = 1) -> Graph:
    """A network of ARCHS (or ``arch``) with seeded random weights; shows what the hardware costs."""
    arch = arch or ARCHS[name]
    return graph_of(arch, random_state(arch, seed), name=name, weights="untrained")


def random_state(arch: Arch, seed: int) -> State:
    """Random arrays for ``arch.shapes()``, with statistics and bounds such as these weights give on binary maps."""
    rng = np.random.Generator(np.random.PCG64(seed))
    ranges: Mapping[str, tuple[float, float]] = {
        "bias_in": (-0.2, 0.2), "pos": (0.7, 1.2), "neg": (0.1, 0.5), "bias_out": (-0.2, 0.2), "bias": (-0.2, 0.2),
        "bound": (2.5, 3.5), "bound1": (0.8, 1.2), "bound2": (0.4, 0.8),
    }  # fmt: skip
    state: State = {}
    for key, shape in arch.shapes().items():
        kind = key.split(".")[-1]
        if len(shape) > 1:
            value = rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))
            value = (
                value if len(shape) == 4 and ".conv" in key and not key.startswith("init") else _few_bits(key, value)
            )
        elif kind == "running_mean":
            value = rng.normal(0, 0.2, shape) * _deviation(state, key, arch.bound)
        elif kind == "running_var":
            value = rng.uniform(0.7, 1.3, shape) * _deviation(state, key, arch.bound) ** 2
        elif kind == "weight":  # gamma
            value = rng.uniform(0.4, 0.8, shape)
        elif kind.startswith("bound"):  # one for all channels, or weights behind it would not be of few bits
            value = np.full(shape, rng.uniform(*ranges[kind]))
        else:
            value = rng.uniform(*ranges[kind], shape)
        state[key] = np.asarray(value, np.float32)
    return state


def _few_bits(key: str, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights as a training leaves them that knows about their bits: odd multiples of a step of each filter."""
    steps = (1 << (SE_BITS if ".se." in key else 8)) - 1
    axes = tuple(range(1, weight.ndim))
    step = np.abs(weight).max(axis=axes, keepdims=True) / steps
    return np.asarray(step * (2 * np.floor(weight / step / 2) + 1))


def _deviation(state: State, key: str, bound: float) -> NDArray[np.float64] | float:
    """Expected standard deviation of what the norm of ``key`` reads: of a sum of n signs it is near the root of n."""
    at, norm = key.rsplit(".", 3)[0], key.rsplit(".", 2)[0]
    weight = state.get(f"{at}.weight")
    if weight is None or weight.ndim != 4:
        return 1.0
    if norm.endswith("bn2"):
        return 0.6
    return np.abs(weight).max(axis=(1, 2, 3)) / 2 * bound / 2 * np.sqrt(np.prod(weight.shape[1:]))


__all__ = ["ARCHS", "CIFAR", "Arch", "graph_of", "random_state", "untrained"]
