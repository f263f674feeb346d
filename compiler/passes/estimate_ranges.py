"""Ranges of all values, from calibration where there is one, else from batch-norm statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler import ir
from bnnhw.compiler.ir.graph import Graph
from bnnhw.compiler.ir.lowered import Affine, Depthwise
from bnnhw.compiler.passes.fold_batch_norm import affine_of

DoubleArray = NDArray[np.float64]
SIGMAS = 6.0
"""Standard deviations that a range estimated from statistics spans on either side of the mean."""


@dataclass(frozen=True, eq=False)
class Stats:
    """Per channel: mean, standard deviation, and bounds that no value can leave. All (C,)."""

    mean: DoubleArray
    std: DoubleArray
    low: DoubleArray
    high: DoubleArray

    def range(self) -> tuple[DoubleArray, DoubleArray]:
        """Where values are expected: the mean and some standard deviations, within the bounds."""
        reach = SIGMAS * self.std
        return np.clip(self.mean - reach, self.low, self.high), np.clip(self.mean + reach, self.low, self.high)


@dataclass(frozen=True)
class EstimateRanges:
    """Completes meta["ranges"] {node: [low, high]} and meta["channel_ranges"] {node: (low (C,), high (C,))}.

    What is there from calibration stays; a node with a calibrated range alone has that range in all channels.
    """

    name: ClassVar[str] = "estimate-ranges"

    def apply(self, graph: Graph) -> Graph:
        ranges = dict(graph.meta.get("ranges") or {})
        channels = {name: np.asarray(found) for name, found in (graph.meta.get("channel_ranges") or {}).items()}
        for name, stats in propagate(graph).items():
            low, high = stats.range()
            if name in ranges and name not in channels:
                channels[name] = np.repeat(np.asarray(ranges[name], np.float64)[:, None], len(low), axis=1)
            channels.setdefault(name, np.stack([low, high]))
            ranges.setdefault(name, [float(low.min()), float(high.max())])
        return graph.with_meta(ranges=ranges, channel_ranges=channels)


def propagate(graph: Graph) -> Mapping[str, Stats]:
    """Statistics of every node. Channels count as Gaussian, inputs of a sum as independent."""
    shapes = graph.shapes()
    stats: dict[str, Stats] = {}
    for node in graph.nodes:
        result = statistics(node.op, *(stats[source] for source in node.inputs))
        if isinstance(node.op, ir.Flatten):
            channels, height, width = shapes[node.inputs[0]]
            result = Stats(*(np.repeat(a, height * width) for a in (result.mean, result.std, result.low, result.high)))
        stats[node.name] = result
    return stats


@singledispatch
def statistics(op: ir.Op, *inputs: Stats) -> Stats:
    """Statistics of an operation's output; those of its input for operations that only select."""
    return inputs[0]


@statistics.register
def _(op: ir.Input, *inputs: Stats) -> Stats:
    low = -op.mean.astype(np.float64) / op.std
    high = (1 - op.mean.astype(np.float64)) / op.std
    return Stats((low + high) / 2, (high - low) / 4, low, high)


@statistics.register
def _(op: ir.Binarize, *inputs: Stats) -> Stats:
    x = inputs[0]
    above = 1 - _cdf((op.threshold - x.mean) / np.maximum(x.std, 1e-12))
    distance = op.high - op.low
    ones = np.ones(len(above))
    bounds = min(op.low, op.high), max(op.low, op.high)
    return Stats(
        op.low + distance * above, abs(distance) * np.sqrt(above * (1 - above)), bounds[0] * ones, bounds[1] * ones
    )


@statistics.register
def _(op: ir.BinaryConv, *inputs: Stats) -> Stats:
    weight = op.alpha[:, None, None, None].astype(np.float64) * op.sign + op.beta[:, None, None, None]
    return _convolution(weight, op.groups, any(op.pads), inputs[0])


@statistics.register
def _(op: ir.Conv, *inputs: Stats) -> Stats:
    result = _convolution(op.weight.astype(np.float64), op.groups, any(op.pads), inputs[0])
    return result if op.bias is None else _affine(result, np.ones(len(op.bias)), op.bias.astype(np.float64))


def _convolution(weight: DoubleArray, groups: int, pad: bool, x: Stats) -> Stats:
    """Taps are partly correlated: three times the independent deviation, at most that of full correlation."""
    outs, ins = weight.shape[:2]
    members = (np.arange(outs) // (outs // groups))[:, None] * ins + np.arange(ins)[None, :]
    mean, std, low, high = (a[members][:, :, None, None] for a in (x.mean, x.std, x.low, x.high))
    ends = np.stack([weight * low, weight * high] + ([0 * weight] if pad else []))
    axes = (1, 2, 3)
    spread = np.minimum(3 * np.sqrt((weight**2 * std**2).sum(axis=axes)), (np.abs(weight) * std).sum(axis=axes))
    return Stats(
        (weight * mean).sum(axis=axes), spread, ends.min(axis=0).sum(axis=axes), ends.max(axis=0).sum(axis=axes)
    )


@statistics.register
def _(op: ir.BatchNorm, *inputs: Stats) -> Stats:
    """By definition of the running statistics the output has mean beta and deviation |gamma|."""
    affine = affine_of(op)
    bounds = _affine(inputs[0], affine.scale, affine.offset)
    mean = np.clip(op.beta.astype(np.float64), bounds.low, bounds.high)
    return Stats(mean, np.abs(op.gamma.astype(np.float64)), bounds.low, bounds.high)


@statistics.register
def _(op: ir.Bias, *inputs: Stats) -> Stats:
    return _affine(inputs[0], np.ones(len(op.bias)), op.bias.astype(np.float64))


def _affine(x: Stats, scale: DoubleArray, offset: DoubleArray) -> Stats:
    ends = np.stack([scale * x.low + offset, scale * x.high + offset])
    return Stats(scale * x.mean + offset, np.abs(scale) * x.std, ends.min(axis=0), ends.max(axis=0))


@statistics.register
def _(op: Affine, *inputs: Stats) -> Stats:
    return _affine(inputs[0], op.scale, op.offset)


@statistics.register
def _(op: ir.TwoSlope, *inputs: Stats) -> Stats:
    return _function(inputs[0], lambda x: np.where(x >= 0, op.pos, op.neg) * x)


@statistics.register
def _(op: ir.Clamp, *inputs: Stats) -> Stats:
    return _function(inputs[0], lambda x: np.clip(x, op.low, op.high))


def _function(x: Stats, f: object) -> Stats:
    """Moments by sampling the Gaussian at equally likely points; the deviation covers the ends of the range too."""
    assert callable(f)
    y = f(np.clip(x.mean + _POINTS * x.std, x.low, x.high))
    mean = y.mean(axis=0)
    ends = np.stack([f(end) for end in x.range()])
    std = np.maximum(y.std(axis=0), np.abs(ends - mean).max(axis=0) / SIGMAS)
    bounds = np.stack([f(x.low), f(x.high), *([f(0 * x.low)] if (x.low < 0).any() else [])])
    return Stats(mean, std, bounds.min(axis=0), bounds.max(axis=0))


@statistics.register
def _(op: ir.Levels, *inputs: Stats) -> Stats:
    x, low, high = inputs[0], op.step * op.low, op.step * op.high
    mean, ends = np.clip(x.mean, low, high), (np.clip(x.low, low, high), np.clip(x.high, low, high))
    return Stats(mean, x.std, *ends)


@statistics.register
def _(op: ir.ChannelMean, *inputs: Stats) -> Stats:
    """Neighbours count as fully correlated."""
    x, kept = inputs[0], op.channels * op.count
    return Stats(*(a[:kept].reshape(op.channels, op.count).mean(axis=1) for a in (x.mean, x.std, x.low, x.high)))


@statistics.register
def _(op: ir.Tile, *inputs: Stats) -> Stats:
    x = inputs[0]
    return Stats(*(np.tile(a, op.times) for a in (x.mean, x.std, x.low, x.high)))


@statistics.register
def _(op: ir.Scale, *inputs: Stats) -> Stats:
    x, factor = inputs
    ends = np.stack([a * b for a in (x.low, x.high) for b in (factor.low, factor.high)])
    largest = np.maximum(np.abs(factor.low), np.abs(factor.high))
    return Stats(x.mean * factor.mean, x.std * largest, ends.min(axis=0), ends.max(axis=0))


@statistics.register
def _(op: ir.Add, *inputs: Stats) -> Stats:
    a, b = inputs
    return Stats(a.mean + b.mean, np.hypot(a.std, b.std), a.low + b.low, a.high + b.high)


@statistics.register
def _(op: ir.Shortcut, *inputs: Stats) -> Stats:
    x, extra = inputs[0], (op.channels_before, op.channels_after)
    return Stats(*(np.pad(a, extra) for a in (x.mean, x.std, x.low, x.high)))


@statistics.register
def _(op: ir.MaxPool, *inputs: Stats) -> Stats:
    x = inputs[0]
    return Stats(np.clip(x.mean + x.std, x.low, x.high), x.std, x.low, x.high)


@statistics.register
def _(op: Depthwise, *inputs: Stats) -> Stats:
    return _convolution(op.weight[:, None].astype(np.float64), len(op.weight), any(op.pads), inputs[0])


@statistics.register
def _(op: ir.AvgPool, *inputs: Stats) -> Stats:
    x = inputs[0]
    if not any(op.pads):
        return x
    return Stats(x.mean, x.std, np.minimum(x.low, 0), np.maximum(x.high, 0))


_cdf = np.vectorize(NormalDist().cdf, otypes=[np.float64])
_POINTS = np.array([NormalDist().inv_cdf((i + 0.5) / 64) for i in range(64)])[:, None]
