"""Runs a float network in torch, as the reference beside which accuracy and agreement are measured. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Levels,
    MaxPool,
    Op,
    Scale,
    Shortcut,
    Tile,
    TwoSlope,
)
from bnnhw.errors import BnnhwError

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 100


def available() -> bool:
    """Whether torch can be imported."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def run(graph: Graph, images: NDArray[np.uint8], double: bool = False) -> NDArray[np.float32]:
    """Scores (N, classes) for uint8 images (N, H, W, C), computed in float32 or float64; sign(0) = +1.

    Raises BnnhwError where torch is missing or images have another shape than the network's input.
    """
    if not available():
        raise BnnhwError("the torch reference needs torch: pip install 'bnnhw[torch]'")
    import torch

    op = graph.input.op
    assert isinstance(op, Input)
    need = (op.height, op.width, op.channels)
    if images.ndim != 4 or images.shape[1:] != need:
        raise BnnhwError(f"images must have shape (N, {', '.join(map(str, need))}), not {images.shape}")
    dtype = torch.float64 if double else torch.float32
    with torch.inference_mode():
        parts = [_batch(graph, images[at : at + BATCH], dtype) for at in range(0, len(images), BATCH)]
    if not parts:
        return np.zeros((0, graph.shapes()[graph.output][0]), np.float32)
    return np.concatenate(parts).astype(np.float32)


def _batch(graph: Graph, images: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    import torch

    last = {source: node.name for node in graph.nodes for source in node.inputs}
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input):
            pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(dtype)
            values[node.name] = (pixels / 255 - _channels(node.op.mean, dtype)) / _channels(node.op.std, dtype)
        else:
            values[node.name] = _apply(node.op, [values[source] for source in node.inputs], dtype)
        for source in node.inputs:
            if last[source] == node.name and source != graph.output:
                values.pop(source, None)
    scores = values[graph.output]
    return scores.reshape(len(scores), -1).numpy()


def _channels(array: NDArray[Any], dtype: Any) -> Tensor:
    """One value per channel, shaped to act on (N, C, H, W)."""
    import torch

    return torch.from_numpy(np.array(array)).to(dtype).reshape(1, -1, 1, 1)


def _padded(x: Tensor, pads: tuple[int, int], value: float = 0.0) -> Tensor:
    """A map with as many rows and columns more before and behind it."""
    import torch.nn.functional as F

    return F.pad(x, (*pads, *pads), value=value) if any(pads) else x


def _apply(op: Op, inputs: list[Tensor], dtype: Any) -> Tensor:
    import torch
    import torch.nn.functional as F

    x = inputs[0]
    match op:
        case Binarize():
            low, high = torch.tensor(op.low, dtype=dtype), torch.tensor(op.high, dtype=dtype)
            return torch.where(x >= _channels(op.threshold, dtype), high, low)
        case BinaryConv():
            sign = torch.from_numpy(np.array(op.sign)).to(dtype)
            alpha, beta = (_channels(a, dtype).reshape(-1, 1, 1, 1) for a in (op.alpha, op.beta))
            return F.conv2d(_padded(x, op.pads), alpha * sign + beta, stride=op.stride, groups=op.groups)
        case Conv():
            weight = torch.from_numpy(np.array(op.weight)).to(dtype)
            bias = None if op.bias is None else torch.from_numpy(np.array(op.bias)).to(dtype)
            return F.conv2d(_padded(x, op.pads), weight, bias, stride=op.stride, groups=op.groups)
        case BatchNorm():
            mean, var, gamma, beta = (_channels(a, dtype).reshape(-1) for a in (op.mean, op.var, op.gamma, op.beta))
            return F.batch_norm(x, mean, var, gamma, beta, eps=op.eps)
        case Bias():
            return x + _channels(op.bias, dtype)
        case TwoSlope():
            return torch.where(x >= 0, _channels(op.pos, dtype), _channels(op.neg, dtype)) * x
        case Clamp():
            return x.clamp(op.low, op.high)
        case Add():
            return x + inputs[1]
        case Shortcut():
            thinned = x[:, :, :: op.stride, :: op.stride]
            return F.pad(thinned, (0, 0, 0, 0, op.channels_before, op.channels_after))
        case AvgPool():
            total = F.avg_pool2d(_padded(x, op.pads), op.kernel, op.stride)
            if op.count_include_pad:
                return total
            return total / F.avg_pool2d(_padded(torch.ones_like(x), op.pads), op.kernel, op.stride)
        case MaxPool():
            return F.max_pool2d(_padded(x, op.pads, float("-inf")), op.kernel, op.stride)
        case Levels():
            step = _channels(op.step, dtype)
            return step * torch.floor(x / step + op.rounding).clamp(op.low, op.high)
        case ChannelMean():
            return x[:, : op.channels * op.count].unflatten(1, (op.channels, op.count)).mean(dim=2)
        case Tile():
            return x.repeat(1, op.times, 1, 1)
        case Scale():
            return x * inputs[1]
        case GlobalAvgPool():
            return x.mean(dim=(2, 3), keepdim=True)
        case Flatten():
            return x.reshape(len(x), -1, 1, 1)
    raise AssertionError(op)
