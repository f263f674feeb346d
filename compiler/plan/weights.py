"""Weight bits: what every weight word holds, as raw bits or as codebook indices, and the beats that carry it.

The bit of plane j of an odd weight w, |w| < 2**J, is bit j of (w + 2**J - 1) / 2, so w = sum of 2**j * (2 * bit - 1).
Weights of positions without a channel are 0-bits, except under a codebook, whose words fill whole groups: there they
are the bits of codeword 0, and count as a constant (``WeightImage.ones``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.plan.orders import stored_channels
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.steps import Word, input_words
from bnnhw.spec.engine import InputConfig
from bnnhw.spec.network import Codebook, Conv, Pool
from bnnhw.spec.numbers import IntArray

BitArray = NDArray[np.uint8]
CODEBOOK_KERNEL = 3


@dataclass(frozen=True, eq=False)
class WeightImage:
    """Weights of a layer. ``bits``: (passes, weight words, cols, depth). ``ones``: for every stored output position
    the sum of 2**j * bit over its weights. ``index``: (passes, blocks, cols, depth) codebook indices of a codebook
    layer, else None."""

    bits: BitArray
    ones: IntArray
    index: IntArray | None
    codebook: Codebook | None


class Decode(NamedTuple):
    """One decode word: slot s takes tap ``taps[s]`` of group ``groups[s]`` of the block, or zeros (None)."""

    load: bool
    units: tuple[tuple[int, int] | None, ...]


@cache
def decodes_of(words: tuple[Word, ...], slots: int) -> tuple[Decode, ...]:
    """Decode words of a codebook pass, one for each weight word."""
    return tuple(
        Decode(word.first, tuple(None if u is None else (u[0], u[1] - word.block * slots) for u in word.units))
        for word in words
    )


def uses_codebook(layer: Conv, shape: Shape) -> bool:
    """Whether the layer's weights travel as indices: 3 x 3, and a codeword bit of all words fits a beat."""
    book = layer.codebook
    fits = book is not None and 1 << book.tau <= shape.fetch * shape.depth
    return fits and layer.window.kernel == CODEBOOK_KERNEL and layer.weight_bits == 1


def plane_bits(weight: IntArray, weight_bits: int) -> BitArray:
    """Bits (J, O, I, taps) of weights (O, I, k, k)."""
    flat = weight.reshape(*weight.shape[:2], -1)
    codes = (flat + (1 << weight_bits) - 1) >> 1
    return np.stack([(codes >> j) & 1 for j in range(weight_bits)]).astype(np.uint8)


def permute(planes: BitArray, out_order: IntArray, in_order: IntArray, outs: int, ins: int) -> BitArray:
    """Bits (J, outs, ins, taps) in stored order, 0 where no channel is stored."""
    rows, columns = stored_channels(out_order, outs), stored_channels(in_order, ins)
    result = planes[:, rows][:, :, columns]
    result[:, rows < 0] = 0
    result[:, :, columns < 0] = 0
    return result


def conv_weights(
    layer: Conv, words: Sequence[Word], out_order: IntArray, in_order: IntArray, groups: int, shape: Shape
) -> WeightImage:
    """Weights of a layer that reads the activation memory; ``groups``: channel groups that a pass reads."""
    passes = -(-len(out_order) // shape.cols)
    if layer.groups > 1:
        layer, in_order = _inputs_as_stored(layer, in_order), np.arange(layer.weight.shape[1])
    outs, ins, lanes = passes * shape.cols, groups * shape.lanes, shape.lanes
    book = layer.codebook if uses_codebook(layer, shape) else None
    index: IntArray | None = None
    if book is not None:
        full = -(-groups // shape.slots) * shape.depth
        index = np.zeros((outs, full), np.int64)
        index[: len(out_order), : len(in_order)] = book.index[out_order][:, in_order]
        index[:, : len(in_order)][:, in_order < 0] = 0
        planes = ((book.words[index[:, :ins]] + 1) >> 1).astype(np.uint8)[None]
        index = index.reshape(passes, shape.cols, -1, shape.depth).transpose(0, 2, 1, 3)
    else:
        planes = permute(plane_bits(layer.weight, layer.weight_bits), out_order, in_order, outs, ins)
    bits = np.zeros((layer.weight_bits, len(words), outs, shape.depth), np.uint8)
    for number, word in enumerate(words):
        for slot, unit in enumerate(word.units):
            if unit is not None:
                channels = slice(unit[1] * lanes, (unit[1] + 1) * lanes)
                bits[:, number, :, slot * lanes : (slot + 1) * lanes] = planes[:, :, channels, unit[0]]
    return WeightImage(_by_pass(bits, passes, shape), _ones(bits.sum(axis=(1, 3), dtype=np.int64)), index, book)


def _inputs_as_stored(layer: Conv, in_order: IntArray) -> Conv:
    """A grouped layer whose weights' inputs are in the order in which the group's channels are stored."""
    ins, outs = layer.weight.shape[1], len(layer.weight) // layer.groups
    inputs = np.zeros((len(layer.weight), ins), np.int64)
    for block in in_order.reshape(layer.groups, ins):
        group = block[0] // ins
        inputs[group * outs : (group + 1) * outs] = block - group * ins
    book = layer.codebook
    if book is not None:
        book = replace(book, index=np.take_along_axis(book.index, inputs, axis=1))
    weight = np.take_along_axis(layer.weight, inputs[:, :, None, None], axis=1)
    return replace(layer, weight=weight, codebook=book)


def input_weights(layer: Conv, config: InputConfig, out_order: IntArray, shape: Shape) -> WeightImage:
    """Weights of a layer that reads the input windows; `input_words` says what is in each word."""
    passes = -(-len(out_order) // shape.cols)
    outs, channels = passes * shape.cols, config.channels
    planes = permute(plane_bits(layer.weight, layer.weight_bits), out_order, np.arange(channels), outs, channels)
    words = input_words(config, layer.weight_bits)
    bits = np.zeros((len(words), config.chunks, outs, shape.depth), np.uint8)
    for row, word in enumerate(words):
        for (part, plane), tap in product(word.items(), range(config.taps)):
            low = config.low_bit(shape.depth, tap, part)
            bits[row, tap // config.chunk_taps, :, low : low + channels] = planes[plane, :, :, tap]
    return WeightImage(_by_pass(bits, passes, shape), _ones(planes.sum(axis=(2, 3), dtype=np.int64)), None, None)


def pool_weights(layer: Pool, order: IntArray, passes: int, width: int, shape: Shape) -> WeightImage:
    """Weights of a weighted pool: a word for each tap, in it those of the lanes, ``width`` bits each, lane 0 lowest."""
    assert layer.weight is not None
    lanes = shape.lanes
    channels = stored_channels(order, passes * lanes)
    weight = layer.weight[channels] * (channels >= 0)[:, None]
    planes = (weight.reshape(passes, lanes, -1, 1) >> np.arange(width)) & 1
    flat = planes.transpose(0, 2, 1, 3).reshape(passes, weight.shape[1], lanes * width)
    bits = np.pad(flat, ((0, 0), (0, 0), (0, shape.cols * shape.depth - lanes * width))).astype(np.uint8)
    return WeightImage(bits.reshape(passes, -1, shape.cols, shape.depth), np.zeros(0, np.int64), None, None)


def _ones(counts: IntArray) -> IntArray:
    """Sum of 2**j * counts[j]."""
    total: IntArray = (counts << np.arange(len(counts))[:, None]).sum(axis=0)
    return total


def _by_pass(bits: BitArray, passes: int, shape: Shape) -> BitArray:
    """(J, words, outs, depth) -> (passes, J * words, cols, depth)."""
    split = bits.reshape(-1, passes, shape.cols, shape.depth)
    return np.ascontiguousarray(split.transpose(1, 0, 2, 3))


def pack_rows(bits: BitArray) -> list[int]:
    """Each row of bits as an integer, element 0 in bit 0."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def raw_beats(bits: BitArray, shape: Shape) -> list[int]:
    """Beats of one pass, (words, cols, depth): for each column group every word."""
    groups = bits.reshape(len(bits), -1, shape.fetch * shape.depth).transpose(1, 0, 2)
    return pack_rows(groups.reshape(-1, shape.fetch * shape.depth))


def codebook_beats(index: IntArray, book: Codebook, tau: int, shape: Shape) -> list[int]:
    """Beats of one codebook pass, indices (blocks, cols, depth): the codewords, then for each column group and block
    the index planes."""
    codewords = np.zeros((book.words.shape[1], 1 << tau), np.uint8)
    codewords[:, : len(book.words)] = ((book.words + 1) >> 1).T
    groups = index.reshape(len(index), -1, 1, shape.fetch * shape.depth).transpose(1, 0, 2, 3)
    planes = (groups >> np.arange(tau)[None, None, :, None]) & 1
    return pack_rows(codewords) + pack_rows(planes.reshape(-1, shape.fetch * shape.depth).astype(np.uint8))


__all__ = [
    "BitArray",
    "Decode",
    "WeightImage",
    "codebook_beats",
    "conv_weights",
    "decodes_of",
    "input_weights",
    "pack_rows",
    "pool_weights",
    "raw_beats",
    "uses_codebook",
]
