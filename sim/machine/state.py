"""The engine's memories, for a batch of frames at once, and the input windows of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.spec.engine import EngineConfig, InputConfig
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import Widths

BitArray = NDArray[np.uint8]


class State:
    """Memories of ``count`` engines that run the same program on different images.

    activation: (count, rows, slots, words, lanes) bits. values: (count, words, lanes). windows: (count, rows, words,
    depth) bits. Activations and values start as noise, as a real engine's do after other frames: a plan that reads
    what it has not written shows. maps: rows of spilled maps by their first burst, (count, width, lanes). loads,
    stores: the rings that they pass, (count, words, lanes).
    """

    def __init__(self, config: EngineConfig, images: NDArray[np.uint8]) -> None:
        c, count, noise = config, len(images), np.random.default_rng(1)
        half = 1 << (c.post.value_width - 1)
        self.config = c
        self.widths = Widths.of(c)
        self.activation: BitArray = noise.integers(0, 2, (count, c.rows, c.slots, c.bit_words, c.lanes), np.uint8)
        self.values: IntArray = noise.integers(-half, half, (count, c.value_words, c.lanes))
        self.windows = np.zeros((0,), np.uint8) if c.front else input_windows(c.input, c.rows, c.depth, images)
        self.gates: IntArray = noise.integers(-half, half, (count, max(c.gate_words, 1), c.lanes))
        self.scores: list[IntArray] = []
        self.maps: dict[int, IntArray] = {}
        rings = (1, 1) if c.spill is None else (c.spill.load_words, c.spill.store_words)
        self.loads, self.stores = (noise.integers(-half, half, (count, words, c.lanes)) for words in rings)


def input_windows(c: InputConfig, rows: int, depth: int, images: NDArray[np.uint8]) -> BitArray:
    """The input memory (N, rows, words, depth); where a word's bits lie says ``InputConfig``."""
    reach = ((c.out_height - 1) * c.stride + c.kernel, (rows * c.strip - 1) * c.stride + c.kernel)
    size = (max(reach[0], c.height + c.pad), max(reach[1], c.width + c.pad))
    padded = np.zeros((len(images), *size, c.channels), np.uint8)
    padded[:, c.pad : c.pad + c.height, c.pad : c.pad + c.width] = images
    shape = (len(images), rows, c.out_height, c.strip, c.chunks, c.groups, depth)
    memory = np.zeros(shape, np.uint8)
    for tap in range(c.taps):
        dy, dx = divmod(tap, c.kernel)
        lines = slice(dy, dy + (c.out_height - 1) * c.stride + 1, c.stride)
        columns = slice(dx, dx + (rows * c.strip - 1) * c.stride + 1, c.stride)
        pixels = padded[:, lines, columns].reshape(len(images), c.out_height, rows, c.strip, c.channels)
        for plane in range(c.planes):
            group, part = divmod(plane, c.parts)
            low = c.low_bit(depth, tap, part)
            word = memory[:, :, :, :, tap // c.chunk_taps, group]
            word[..., low : low + c.channels] = (pixels.transpose(0, 2, 1, 3, 4) >> plane) & 1
    return memory.reshape(len(images), rows, -1, depth)


__all__ = ["BitArray", "State", "input_windows"]
