"""Calibration: ranges of a float network's values on images, for the fixed-point formats that lowering chooses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.graph import Graph
from bnnhw.compiler.ir.interpret import batches
from bnnhw.compiler.passes.formats import Widths
from bnnhw.errors import BnnhwError

OCTAVES = range(-24, 40)
"""Powers of two that a range may end at."""


@dataclass
class Spread:
    """How the values of one map are spread. ``bounds`` (2, channels): lowest and highest; ``counts``, ``sums``: number
    and total magnitude of the values in 2**(n - 1) <= \\|x\\| < 2**n, for each n of OCTAVES."""

    bounds: NDArray[np.float32]
    counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(OCTAVES)))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(OCTAVES)))

    @classmethod
    def nothing(cls, channels: int) -> Spread:
        return cls(np.repeat(np.array([[np.inf], [-np.inf]], np.float32), channels, axis=1))

    def take(self, values: NDArray[np.floating]) -> None:
        """Counts values (..., channels) in."""
        axes = tuple(range(values.ndim - 1))
        low, high = self.bounds
        self.bounds = np.stack([np.minimum(low, values.min(axis=axes)), np.maximum(high, values.max(axis=axes))])
        size = np.abs(values, dtype=np.float64).ravel()
        octave = np.where(size > 0, np.clip(np.frexp(size)[1] - OCTAVES.start, 0, len(OCTAVES) - 1), 0)
        self.counts += np.bincount(octave, minlength=len(OCTAVES))
        self.sums += np.bincount(octave, weights=size, minlength=len(OCTAVES))

    def range(self, bits: int | None) -> list[float]:
        """[low, high] of all channels; for stored values of so many bits cut where that lessens the mean magnitude of
        their error. What is far out costs all others a bit, and it decides little: signs do not see it, and every norm
        makes it small."""
        low, high = float(self.bounds[0].min()), float(self.bounds[1].max())
        if bits is None:
            return [low, high]
        errors = [self._error(n, bits) for n in range(len(OCTAVES))]
        end = 2.0 ** OCTAVES[int(np.argmin(errors))]
        return [max(low, -end), min(high, end)]

    def _error(self, n: int, bits: int) -> float:
        """Total magnitude of errors with a range that ends at 2**OCTAVES[n]: values beyond it end there, those within
        half a step of 0 are 0, and the others are a quarter of a step off."""
        end, nothing = 2.0 ** OCTAVES[n], max(n + 1 - bits, 0)
        beyond = self.sums[n + 1 :].sum() - end * self.counts[n + 1 :].sum()
        rounded = end * 2.0**-bits / 2 * self.counts[nothing : n + 1].sum()
        return float(beyond + self.sums[:nothing].sum() + rounded)


def calibrate(graph: Graph, images: NDArray[np.uint8]) -> Graph:
    """The graph with the ranges of its values on these images: meta["ranges"] {node: [low, high]}, as lowering should
    hold them in the graph's width of values, and meta["channel_ranges"] {node: [lows, highs]}, one of each a channel.
    """
    if not len(images):
        raise BnnhwError("calibration must have at least 1 image, not 0")
    bits = Widths(**graph.meta.get("widths", {})).value
    spreads: dict[str, Spread] = {}
    for values in batches(graph, images, {node.name for node in graph.nodes}):
        for name, value in values.items():
            spreads.setdefault(name, Spread.nothing(value.shape[-1])).take(value)
    # the greatest score is the answer
    ranges = {name: spread.range(None if name == graph.output else bits) for name, spread in spreads.items()}
    names = [node.name for node in graph.nodes]
    # the shortest decimals that tell float32 values apart make a saved network half as long
    channels = {name: [[float(str(x)) for x in row] for row in spreads[name].bounds] for name in names}
    return graph.with_meta(ranges={name: ranges[name] for name in names}, channel_ranges=channels)


__all__ = ["calibrate"]
