"""NumPy reference of the float network, at every level between the imported graph and the last pass.

Values are float32 arrays (N, height, width, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir import lowered, ops, windows
from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.op import Op
from bnnhw.errors import BnnhwError
from bnnhw.spec.network import Window, border_map

FloatArray = NDArray[np.float32]
BATCH = 64


def run(graph: Graph, images: NDArray[np.uint8]) -> FloatArray:
    """Scores (N, classes) of uint8 images (N, height, width, channels)."""
    parts = [values[graph.output][:, 0, 0, :] for values in batches(graph, images, keep={graph.output})]
    classes = graph.shapes()[graph.output][0]
    return np.concatenate(parts) if parts else np.zeros((0, classes), np.float32)


def trace(graph: Graph, images: NDArray[np.uint8]) -> dict[str, FloatArray]:
    """Value of every node; for a few images."""
    parts = list(batches(graph, images, keep={node.name for node in graph.nodes}))
    return {node.name: np.concatenate([part[node.name] for part in parts]) for node in graph.nodes}


def batches(graph: Graph, images: NDArray[np.uint8], keep: set[str]) -> Iterator[dict[str, FloatArray]]:
    """Values of the nodes in ``keep``, batch after batch; the other values are dropped once nobody needs them."""
    check_images(graph, images)
    shapes = graph.shapes()
    last = {source: node.name for node in graph.nodes for source in node.inputs}
    for start in range(0, len(images), BATCH):
        values: dict[str, FloatArray] = {}
        for node in graph.nodes:
            if isinstance(node.op, ops.Input | lowered.Pixels):
                inputs = [images[start : start + BATCH].astype(np.float32)]
            else:
                inputs = [values[source] for source in node.inputs]
            result = evaluate(node.op, *inputs)
            channels, height, width = shapes[node.name]
            assert result.shape[1:] == (height, width, channels), node.name
            values[node.name] = result
            for source in node.inputs:
                if last[source] == node.name and source not in keep:
                    values.pop(source, None)
        yield {name: value for name, value in values.items() if name in keep}


def check_images(graph: Graph, images: NDArray[Any]) -> None:
    """Raises BnnhwError unless images are uint8 and of the network's size."""
    node: Node = graph.nodes[0] if isinstance(graph.nodes[0].op, lowered.Pixels) else graph.input
    op = node.op
    assert isinstance(op, ops.Input | lowered.Pixels)
    wanted = (op.height, op.width, op.channels)
    if images.dtype != np.uint8:
        raise BnnhwError(f"images must be uint8, not {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != wanted:
        raise BnnhwError(f"images must have shape (N, {wanted[0]}, {wanted[1]}, {wanted[2]}), not {images.shape}")


@singledispatch
def evaluate(op: Op, *inputs: FloatArray) -> FloatArray:
    """Value of one operation."""
    raise NotImplementedError(op.kind)


def _register(kind: type[Op]) -> Callable[[Callable[..., Any]], Callable[..., FloatArray]]:
    def wrap(function: Callable[..., Any]) -> Callable[..., FloatArray]:
        def typed(op: Op, *inputs: FloatArray) -> FloatArray:
            return np.asarray(function(op, *inputs), dtype=np.float32)

        evaluate.register(kind, typed)
        return typed

    return wrap


@_register(ops.Input)
def _input(op: ops.Input, x: FloatArray) -> Any:
    return (x / np.float32(255) - op.mean) / op.std


@_register(lowered.Pixels)
def _pixels(op: lowered.Pixels, x: FloatArray) -> Any:
    return x


@_register(ops.Binarize)
def _binarize(op: ops.Binarize, x: FloatArray) -> Any:
    return np.where(x >= op.threshold, np.float32(op.high), np.float32(op.low))


@_register(lowered.Quantize)
def _quantize(op: lowered.Quantize, x: FloatArray) -> Any:
    return np.clip(np.floor(x + np.float32(0.5)), 0, (1 << op.bits) - 1)


@_register(ops.BatchNorm)
def _batch_norm(op: ops.BatchNorm, x: FloatArray) -> Any:
    scale = op.gamma / np.sqrt(op.var + np.float32(op.eps))
    return x * scale + (op.beta - op.mean * scale)


@_register(lowered.Affine)
def _affine(op: lowered.Affine, x: FloatArray) -> Any:
    return x * op.scale.astype(np.float32) + op.offset.astype(np.float32)


@_register(ops.Bias)
def _bias(op: ops.Bias, x: FloatArray) -> Any:
    return x + op.bias


@_register(ops.TwoSlope)
def _two_slope(op: ops.TwoSlope, x: FloatArray) -> Any:
    return np.where(x >= 0, op.pos, op.neg) * x


@_register(ops.Clamp)
def _clamp(op: ops.Clamp, x: FloatArray) -> Any:
    return np.clip(x, np.float32(op.low), np.float32(op.high))


@_register(ops.Add)
def _add(op: ops.Add, a: FloatArray, b: FloatArray) -> Any:
    return a + b


@_register(ops.Shortcut)
def _shortcut(op: ops.Shortcut, x: FloatArray) -> Any:
    return np.pad(x[:, :: op.stride, :: op.stride], [(0, 0)] * 3 + [(op.channels_before, op.channels_after)])


@_register(ops.Levels)
def _levels(op: ops.Levels, x: FloatArray) -> Any:
    return op.step * np.clip(np.floor(x / op.step + np.float32(op.rounding)), op.low, op.high)


@_register(ops.ChannelMean)
def _channel_mean(op: ops.ChannelMean, x: FloatArray) -> Any:
    return x[..., : op.channels * op.count].reshape(*x.shape[:3], op.channels, op.count).mean(axis=4)


@_register(ops.Tile)
def _tile(op: ops.Tile, x: FloatArray) -> Any:
    return np.tile(x, op.times)


@_register(ops.Scale)
def _scale(op: ops.Scale, x: FloatArray, factors: FloatArray) -> Any:
    return x * factors


@_register(ops.GlobalAvgPool)
def _global_avg_pool(op: ops.GlobalAvgPool, x: FloatArray) -> Any:
    return x.mean(axis=(1, 2), keepdims=True)


@_register(ops.Flatten)
def _flatten(op: ops.Flatten, x: FloatArray) -> Any:
    return x.transpose(0, 3, 1, 2).reshape(len(x), 1, 1, -1)


@_register(windows.AvgPool)
def _avg_pool(op: windows.AvgPool, x: FloatArray) -> Any:
    total = _taps(x, op.kernel, op.stride, op.pads, 0.0).sum(axis=3)
    if op.count_include_pad:
        return total / np.float32(op.kernel**2)
    return total / _taps(np.ones_like(x[:1, :, :, :1]), op.kernel, op.stride, op.pads, 0.0).sum(axis=3)


@_register(windows.MaxPool)
def _max_pool(op: windows.MaxPool, x: FloatArray) -> Any:
    return _taps(x, op.kernel, op.stride, op.pads, -np.inf).max(axis=3)


@_register(lowered.Whole)
def _whole(op: lowered.Whole, x: FloatArray) -> Any:
    return np.floor(x + np.float32(0.5))


@_register(lowered.Depthwise)
def _depthwise(op: lowered.Depthwise, x: FloatArray) -> Any:
    weight = op.weight.reshape(len(op.weight), -1).T.astype(np.float32)
    return (_taps(x, op.weight.shape[1], op.stride, op.pads, 0.0) * weight).sum(axis=3)


@_register(windows.BinaryConv)
def _binary_conv(op: windows.BinaryConv, x: FloatArray) -> Any:
    weight = op.alpha[:, None, None, None] * op.sign + op.beta[:, None, None, None]
    return _convolve(x, weight.astype(np.float32), op.stride, op.pads, op.groups)


@_register(windows.Conv)
def _conv(op: windows.Conv, x: FloatArray) -> Any:
    y = _convolve(x, op.weight, op.stride, op.pads, op.groups)
    return y if op.bias is None else y + op.bias


@_register(lowered.CodeConv)
def _code_conv(op: lowered.CodeConv, x: FloatArray) -> Any:
    real = x * op.gain.astype(np.float32) + op.zero.astype(np.float32)
    return _convolve(real, op.weight.astype(np.float32), op.stride, op.pads, op.groups)


@_register(lowered.Mac)
def _mac(op: lowered.Mac, x: FloatArray) -> Any:
    total = _convolve(x, op.weight.astype(np.float32), op.stride, op.pads, op.groups)
    y = total * op.scale.astype(np.float32)
    if op.sum_scale.any():
        counted = ((x > 0) if op.operand == "bits" else x).sum(axis=3, keepdims=True, dtype=np.float32)
        counts = _taps(counted, op.weight.shape[2], op.stride, op.pads, 0.0).sum(axis=3)
        y = y + counts * op.sum_scale.astype(np.float32)
    return y + _border_offset(op, op.weight.shape[2], op.offset, x, y)


def _border_offset(op: Any, kernel: int, offset: NDArray[np.float64], x: FloatArray, y: FloatArray) -> FloatArray:
    shapes = [(a.shape[3], a.shape[1], a.shape[2]) for a in (x, y)]
    axes = lowered.border_axes(shapes[0], shapes[1], Window(kernel, op.stride, op.pad))
    return offset.T[border_map(*axes)].astype(np.float32)


def _taps(x: FloatArray, kernel: int, stride: int, pads: tuple[int, int], fill: float) -> FloatArray:
    """All windows: (N, out height, out width, kernel * kernel, C)."""
    height, width = ((s + sum(pads) - kernel) // stride + 1 for s in x.shape[1:3])
    padded = np.pad(x, [(0, 0), pads, pads, (0, 0)], constant_values=fill) if any(pads) else x
    out = np.empty((len(x), height, width, kernel * kernel, x.shape[3]), np.float32)
    for tap in range(kernel * kernel):
        dy, dx = divmod(tap, kernel)
        out[:, :, :, tap] = padded[:, dy : dy + height * stride : stride, dx : dx + width * stride : stride][
            :, :height, :width
        ]
    return out


def _convolve(x: FloatArray, weight: FloatArray, stride: int, pads: tuple[int, int], groups: int) -> FloatArray:
    outs, ins, kernel, _ = weight.shape
    results = []
    for group in range(groups):
        taps = _taps(x[..., group * ins : (group + 1) * ins], kernel, stride, pads, 0.0)
        matrix = weight[group * (outs // groups) : (group + 1) * (outs // groups)].transpose(2, 3, 1, 0)
        flat = taps.reshape(-1, kernel * kernel * ins) @ matrix.reshape(kernel * kernel * ins, -1)
        results.append(flat.reshape(*taps.shape[:3], -1))
    return results[0] if groups == 1 else np.concatenate(results, axis=3)
