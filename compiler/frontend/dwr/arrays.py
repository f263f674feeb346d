"""Where the arrays of a DWR network come from: drawn at random, or read from an official checkpoint by its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.frontend.dwr.arch import KERNEL, Layer
from bnnhw.compiler.frontend.nodes import NORM, signs

FloatArray = NDArray[np.float32]
Take = Callable[[str, tuple[int, ...]], FloatArray]
"""The array of a node and part, "layer1.0.bn.weight", which must have this shape."""


class Arrays(Protocol):
    """Arrays by the name of their node."""

    def real(self, at: str, shape: tuple[int, ...]) -> FloatArray:
        """Weights of a real convolution."""

    def vector(self, at: str, channels: int, low: float, high: float) -> FloatArray:
        """A number for each channel, usually between ``low`` and ``high``; ``at`` is node and part."""

    def norm(
        self, at: str, channels: int, deviation: float | FloatArray, mean: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Batch norm: gamma, beta, mean and variance of values with this mean (in deviations) and deviation."""

    def binary(self, layer: Layer, scaled: bool) -> tuple[NDArray[np.int32], FloatArray]:
        """Signs (out, in, 3, 3) and magnitudes (out,) of a binary convolution; all 1 unless ``scaled``."""


class Drawn:
    """Seeded random arrays, and the batch-norm statistics that such weights give on binary maps.

    A sum of n signs has a variance near n, whatever the weights.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def real(self, at: str, shape: tuple[int, ...]) -> FloatArray:
        """Weights that keep the size of the values."""
        reach = (3 / int(np.prod(shape[1:]))) ** 0.5
        return self._uniform(-reach, reach, *shape)

    def vector(self, at: str, channels: int, low: float, high: float) -> FloatArray:
        return self._uniform(low, high, channels)

    def norm(
        self, at: str, channels: int, deviation: float | FloatArray, mean: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """One gamma in twenty is negative."""
        gamma = self._uniform(0.4, 0.8, channels) * np.where(self._rng.random(channels) < 0.05, -1, 1)
        around = (mean + self._rng.normal(0, 0.3, channels)) * deviation
        variance = self._uniform(0.7, 1.3, channels) * deviation**2
        beta = self._uniform(-0.2, 0.2, channels)
        return gamma.astype(np.float32), beta, around.astype(np.float32), np.asarray(variance, np.float32)

    def binary(self, layer: Layer, scaled: bool) -> tuple[NDArray[np.int32], FloatArray]:
        shape = (layer.outs, layer.ins, KERNEL, KERNEL)
        sign = self._rng.integers(0, 2, shape, np.int8) == 1
        alpha = self._uniform(0.5, 1.5, layer.outs) if scaled else np.ones(layer.outs, np.float32)
        if scaled:
            alpha /= np.float32((layer.ins * KERNEL * KERNEL) ** 0.5)
        return signs(sign), alpha

    def _uniform(self, low: float, high: float, *shape: int) -> FloatArray:
        return (self._rng.random(shape, np.float32) * np.float32(high - low) + np.float32(low)).astype(np.float32)


class Saved:
    """Arrays that ``take`` has."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def real(self, at: str, shape: tuple[int, ...]) -> FloatArray:
        return self._take(f"{at}.weight", shape)

    def vector(self, at: str, channels: int, low: float, high: float) -> FloatArray:
        return self._take(at, (channels,))

    def norm(
        self, at: str, channels: int, deviation: float | FloatArray, mean: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        gamma, beta, around, variance = (self._take(f"{at}.{part}", (channels,)) for part in NORM)
        return gamma, beta, around, variance

    def binary(self, layer: Layer, scaled: bool) -> tuple[NDArray[np.int32], FloatArray]:
        """Signs of the real weights (sign(0) = +1), and the mean magnitude of each filter."""
        weight = self._take(f"{layer.at}conv.weight", (layer.outs, layer.ins, KERNEL, KERNEL))
        alpha = np.abs(weight).mean(axis=(1, 2, 3)) if scaled else np.ones(layer.outs, np.float32)
        return signs(weight >= 0), alpha
