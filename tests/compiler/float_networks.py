"""Random float networks whose arithmetic is exact: all parameters are small multiples of powers of two.

Fixed point then represents every value, so the integer network must agree with the float network to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    BatchNorm,
    Bias,
    Binarize,
    BinaryConv,
    Clamp,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    Node,
    Op,
    Shortcut,
    TwoSlope,
)


@dataclass
class Builder:
    """Appends nodes; ``channels``, ``size`` and ``at`` describe the last map."""

    rng: np.random.Generator
    channels: int
    size: int
    nodes: list[Node] = field(default_factory=list)
    at: str = "image"
    ties: bool = False

    def add(self, op: Op, *inputs: str) -> str:
        self.at = f"n{len(self.nodes)}"
        self.nodes.append(Node(self.at, op, inputs))
        return self.at

    def dyadic(self, low: int, high: int, unit: float, count: int | None = None) -> np.ndarray:
        return self.rng.integers(low, high + 1, self.channels if count is None else count) * unit

    def binarize(self, x: str, two_value: bool) -> str:
        """Thresholds off the grid of all values, or on it for ties."""
        threshold = self.dyadic(-8, 8, 0.25) + (0 if self.ties else 1 / 1024)
        low, high = (self.rng.permutation([-1.5, -0.5, 0.5, 2.0])[:2]) if two_value else (-1.0, 1.0)
        return self.add(Binarize(threshold, float(low), float(high)), x)

    def binary_conv(self, x: str, outs: int, kernel: int, stride: int, two_value: bool, codebook: bool) -> str:
        shape = (outs, self.channels, kernel, kernel)
        words = index = None
        sign = self.rng.choice([-1, 1], shape)
        if codebook:
            words = self.rng.choice([-1, 1], (16, kernel * kernel))
            index = self.rng.integers(0, 16, shape[:2])
            sign = words[index].reshape(shape)
        beta = self.dyadic(-2, 2, 0.125, outs) * two_value
        pad = kernel // 2
        op = BinaryConv(sign, self.dyadic(1, 3, 0.25, outs), beta, stride, pad, words=words, index=index)
        self.channels, self.size = outs, (self.size + 2 * pad - kernel) // stride + 1
        return self.add(op, x)

    def norm(self, x: str) -> str:
        """Gammas of either sign and 0; deviations that are powers of two."""
        gamma = self.rng.choice([-1, -0.5, 0, 0.5, 1, 1], self.channels)
        var = self.rng.choice([1.0, 4.0], self.channels)
        return self.add(BatchNorm(gamma, self.dyadic(-4, 4, 0.25), self.dyadic(-4, 4, 0.5), var, 0.0), x)

    def activation(self, x: str) -> str:
        kind = self.rng.integers(5)
        if kind == 0:
            return x
        if kind == 1:
            return self.add(TwoSlope(np.ones(self.channels), self.dyadic(-2, 2, 0.25)), x)
        if kind == 2:
            return self.add(Clamp(-4.0, 4.0), x)
        if kind == 3:
            return self.add(TwoSlope(self.dyadic(-4, 4, 0.25), self.dyadic(-4, 4, 0.25)), x)
        x = self.add(Bias(self.dyadic(-4, 4, 0.25)), x)
        x = self.add(TwoSlope(np.ones(self.channels), self.dyadic(0, 2, 0.25)), x)
        return self.add(Bias(self.dyadic(-4, 4, 0.25)), x)

    def block(self, x: str) -> str:
        """Binarisation, convolution, batch norm, shortcut, activation."""
        before, size = self.channels, self.size
        stride = int(self.rng.integers(1, 3)) if self.size > 2 else 1
        outs = before + 2 * int(self.rng.integers(0, 3))
        two_value, codebook = bool(self.rng.integers(2)), bool(self.rng.integers(3) == 0)
        y = self.binarize(x, two_value)
        y = self.binary_conv(y, outs, int(self.rng.choice([1, 3])) if not codebook else 3, stride, two_value, codebook)
        y = self.norm(y)
        if self.rng.integers(4):
            shortcut = x
            if outs != before or stride != 1:
                if stride == 2 and size % 2 == 0 and self.rng.integers(2):
                    shortcut = self.add(AvgPool(2, 2), shortcut)
                    stride = 1
                shortcut = self.add(Shortcut(stride, (outs - before) // 2, (outs - before) // 2), shortcut)
            y = self.add(Add(), *([y, shortcut] if self.rng.integers(2) else [shortcut, y]))
            if self.rng.integers(3) == 0:
                y = self.norm(y)
        return self.activation(y)


def random_graph(seed: int, ties: bool = False) -> tuple[Graph, np.ndarray]:
    """A network and some images for it. With ``ties`` thresholds are met exactly now and then."""
    rng = np.random.default_rng(seed)
    channels, size = int(rng.choice([1, 2, 3])), int(rng.choice([1, 2, 3, 5, 8]))
    b = Builder(rng, channels, size, ties=ties)
    b.nodes.append(Node("image", Input(channels, size, size, np.zeros(channels), np.full(channels, 1 / 255))))
    outs, kernel, stride = int(rng.integers(1, 7)), int(rng.choice([1, 3])), int(rng.integers(1, 3))
    weight = rng.integers(-2, 3, (outs, channels, kernel, kernel)) * 0.25
    bias = rng.integers(-8, 9, outs) * 0.25 if rng.integers(2) else None
    x = b.add(Conv(weight, bias, stride, kernel // 2, weight_bits=int(rng.choice([3, 8]))), "image")
    b.channels, b.size = outs, (size + 2 * (kernel // 2) - kernel) // stride + 1
    x = b.activation(b.norm(x))
    if b.size >= 3 and rng.integers(2):
        x = b.add(MaxPool(3, 2, 1), x)
        b.size = (b.size - 1) // 2 + 1
    for _ in range(int(rng.integers(1, 3))):
        x = b.block(x)
    if b.size in (1, 2, 4, 8) and rng.integers(2):
        b.add(GlobalAvgPool(), x)
    else:
        x = b.add(Flatten(), b.binarize(x, False))
        dense = rng.choice([-1, 1], (4, b.channels * b.size**2, 1, 1))
        b.add(BinaryConv(dense, np.full(4, 0.5), np.zeros(4)), x)
    images = rng.integers(0, 64, (4, size, size, channels)).astype(np.uint8)
    return Graph(tuple(b.nodes), b.at, {"name": f"random{seed}"}).verify(), images
