"""The array and the pool reader: from memory words to accumulators, one line of output positions at a time.

The steps of a tile are one matrix product: with activation bits a, weight bits w and the factor f that later doublings
give a step, ACC = sum of f * (a xor w) = sum of f * w + sum of a * f * (1 - 2 w). It runs in floating point where every
partial sum is an integer that the type holds exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.sim.machine.program import PassWords
from bnnhw.sim.machine.state import State
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import CONV_INPUT

FLOAT32_EXACT = 1 << 24


class Array:
    """Accumulators of a conv pass. ``line(state, y)`` gives counts and sums of all tiles of line y."""

    def __init__(self, config: EngineConfig, words: PassWords) -> None:
        assert words.weights is not None
        self.config, self.words = config, words
        factor, weights = words.steps.factor, words.weights[words.steps.weight].astype(np.int64)
        exact = 2 * int(factor.sum()) * config.depth < FLOAT32_EXACT
        kind: type[Any] = np.float32 if exact else np.float64
        signed = (factor[:, None, None] * (1 - 2 * weights)).transpose(0, 2, 1).reshape(-1, config.cols)
        ones = np.repeat(factor, config.depth)[:, None]
        self.matrix = np.concatenate([signed, ones], axis=1).astype(kind)
        self.constant = (factor[:, None, None] * weights).sum(axis=(0, 2))

    def line(self, state: State, y: int) -> tuple[IntArray, IntArray]:
        """ACC (N, r, lx, cols) and activation sums (N, r, lx) of line ``y``, for the strips in use."""
        bits = self._windows(state, y) if self.words.fields["kind"] == CONV_INPUT else self._activations(state, y)
        flat = bits.reshape(-1, len(self.matrix)).astype(self.matrix.dtype)
        both = (flat @ self.matrix).astype(np.int64).reshape(*bits.shape[:3], -1)
        counts, sums = both[..., :-1] + self.constant, both[..., -1]
        assert counts[..., self._used].max(initial=0) < 1 << self.config.acc_width
        return counts, sums

    @property
    def _used(self) -> NDArray[np.bool_]:
        """Columns whose result is looked at."""
        return (self.words.lanes["scale"] != 0).reshape(-1)

    def _windows(self, state: State, y: int) -> NDArray[np.uint8]:
        f, steps = self.words.fields, self.words.steps
        lx = np.arange(f["last_lx"] + 1)[:, None]
        address = (f["base"] + y * f["d_y"] + lx * f["d_lx"] + steps.offset[None, :, 0]) % (1 << state.widths.source)
        bits = state.windows[:, : f["last_r"] + 1, address]
        c = self.config.input
        size, unused = c.used // c.parts, self.config.depth - c.used
        keep = np.repeat(steps.en[:, : c.parts] == 1, size, axis=1)
        return bits * np.pad(keep, ((0, 0), (unused, 0))).astype(np.uint8)

    def _activations(self, state: State, y: int) -> NDArray[np.uint8]:
        f, steps, c = self.words.fields, self.words.steps, self.config
        lx = np.arange(f["last_lx"] + 1)[:, None, None]
        address = (f["base"] + y * f["d_y"] + lx * f["d_lx"] + steps.offset) % (1 << state.widths.source)
        address %= 1 << state.widths.bit_addr
        row = y * f["stride"] - f["pad"] + steps.dy
        strip = np.arange(f["last_r"] + 1)[:, None, None, None] * f["in_strip"]
        column = strip + lx * f["stride"] - f["pad"] + steps.dx
        inside = (row >= 0) & (row < f["in_height"]) & (column >= 0) & (column < f["in_width"])
        keep = (steps.en == 1) & inside
        assert (address < c.bit_words)[keep.any(axis=0)].all(), "a step reads beyond the activation memory"
        address = np.where(address < c.bit_words, address, 0)
        bits = state.activation[:, : f["last_r"] + 1, np.arange(c.slots), address]
        return bits * keep[None, ..., None].astype(np.uint8)


class PoolReader:
    """Results of a pool pass; ``line`` gives them for all positions of a line."""

    def __init__(self, config: EngineConfig, words: PassWords) -> None:
        self.config, self.words = config, words
        if words.fields["weighted"]:
            assert words.weights is not None
            width = config.pool_weight_width
            bits = words.weights.reshape(len(words.weights), -1)[:, : config.lanes * width].astype(np.int64)
            places = np.left_shift(1, np.arange(width))
            places[-1] = -places[-1]
            self.weights = (bits.reshape(len(bits), config.lanes, width) * places).sum(axis=2)[words.steps.weight]

    def _folded(self, values: IntArray, fold: int) -> IntArray:
        """Sums of neighbouring channels: those of a step's word are the lanes of its part."""
        lanes = self.config.lanes
        own = lanes // fold
        sums = values.reshape(*values.shape[:-1], own, fold).sum(axis=-1)
        spread = np.tile(sums, fold)
        return np.where(np.arange(lanes) // own == self.words.steps.part[:, None], spread, 0)

    def line(self, state: State, y: int) -> IntArray:
        """Sums or maxima (N, r, lx, lanes) of line ``y``."""
        f, steps, c = self.words.fields, self.words.steps, self.config
        lx, r = np.arange(f["last_lx"] + 1)[:, None], np.arange(f["last_r"] + 1)[:, None, None]
        address = f["base"] + y * f["d_y"] + lx * f["d_lx"] + r * f["d_r"] + steps.offset[:, 0]
        address = address % (1 << state.widths.source) % (1 << state.widths.value_addr)
        row = y * f["stride"] - f["pad"] + steps.dy[:, 0]
        column = r * f["in_strip"] + lx * f["stride"] - f["pad"] + steps.dx[:, 0]
        keep = (row >= 0) & (row < f["in_height"]) & (column >= 0) & (column < f["in_width"])
        stored = r * f["strip"] + lx < f["out_width"]
        if f["src_ring"]:
            values = state.loads[:, address % state.loads.shape[1]]
        else:
            assert (address < c.value_words)[keep & stored].all(), "a step reads beyond the value memory"
            values = state.values[:, np.where(address < c.value_words, address, 0)]
        if f["fold"]:
            values = self._folded(values, c.folds[f["fold"] - 1])
        if f["weighted"]:
            values = values * self.weights
        if f["pool_max"]:
            lowest = -(1 << (c.post.value_width - 1))
            result = np.where(keep[None, ..., None], values, lowest).max(axis=3)
        else:
            result = np.where(keep[None, ..., None], values, 0).sum(axis=3)
        check_width(np.where(stored[None], result, 0), c.pool_width, "pooled value")
        return result


def check_width(x: IntArray, width: int, what: str) -> None:
    """The plan promised that these numbers fit; if not the hardware would wrap."""
    half = 1 << (width - 1)
    assert -half <= x.min(initial=0) <= x.max(initial=0) < half, f"{what} does not fit {width} bits"


__all__ = ["Array", "PoolReader", "check_width"]
