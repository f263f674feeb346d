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
    import torch
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
    forward = Forward(graph, torch.float64 if double else torch.float32)
    parts = []
    for at in range(0, len(images), BATCH):
        pixels = torch.from_numpy(np.ascontiguousarray(images[at : at + BATCH].transpose(0, 3, 1, 2)))
        parts.append(forward(pixels.to(forward.dtype) / 255).numpy())
    if not parts:
        return np.zeros((0, graph.shapes()[graph.output][0]), np.float32)
    return np.concatenate(parts).astype(np.float32)


class Forward:
    """A float network as a function of tensors. Its parameters become tensors once, of ``dtype`` on ``device``."""

    def __init__(self, graph: Graph, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
        self.graph, self.dtype, self.device = graph, dtype, device
        self._last = {source: node.name for node in graph.nodes for source in node.inputs}
        self._tensors: dict[int, Tensor] = {}

    def __call__(self, pixels: Tensor) -> Tensor:
        """Scores (N, classes) for pixels (N, C, H, W) as fractions of 255; no gradient passes."""
        import torch

        values: dict[str, Tensor] = {}
        with torch.no_grad():
            for node in self.graph.nodes:
                if isinstance(node.op, Input):
                    values[node.name] = (pixels - self.channels(node.op.mean)) / self.channels(node.op.std)
                else:
                    values[node.name] = _apply(node.op, [values[source] for source in node.inputs], self)
                for source in node.inputs:
                    if self._last[source] == node.name and source != self.graph.output:
                        values.pop(source, None)
            scores = values[self.graph.output]
            return scores.reshape(len(scores), -1)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """A parameter of the network."""
        import torch

        if id(array) not in self._tensors:  # the graph keeps its arrays: no other gets this id
            self._tensors[id(array)] = torch.from_numpy(np.array(array)).to(self.device, self.dtype)
        return self._tensors[id(array)]

    def channels(self, array: NDArray[Any]) -> Tensor:
        """One value per channel, shaped to act on (N, C, H, W)."""
        return self.tensor(array).reshape(1, -1, 1, 1)


def _padded(x: Tensor, pads: tuple[int, int], value: float = 0.0) -> Tensor:
    """A map with as many rows and columns more before and behind it."""
    import torch.nn.functional as F

    return F.pad(x, (*pads, *pads), value=value) if any(pads) else x


def _apply(op: Op, inputs: list[Tensor], own: Forward) -> Tensor:
    import torch
    import torch.nn.functional as F

    x = inputs[0]
    match op:
        case Binarize():
            low, high = (torch.tensor(value, dtype=x.dtype, device=x.device) for value in (op.low, op.high))
            return torch.where(x >= own.channels(op.threshold), high, low)
        case BinaryConv():
            alpha, beta = (own.tensor(a).reshape(-1, 1, 1, 1) for a in (op.alpha, op.beta))
            return F.conv2d(_padded(x, op.pads), alpha * own.tensor(op.sign) + beta, stride=op.stride, groups=op.groups)
        case Conv():
            bias = None if op.bias is None else own.tensor(op.bias)
            return F.conv2d(_padded(x, op.pads), own.tensor(op.weight), bias, stride=op.stride, groups=op.groups)
        case BatchNorm():
            mean, var, gamma, beta = (own.tensor(a) for a in (op.mean, op.var, op.gamma, op.beta))
            return F.batch_norm(x, mean, var, gamma, beta, eps=op.eps)
        case Bias():
            return x + own.channels(op.bias)
        case TwoSlope():
            return torch.where(x >= 0, own.channels(op.pos), own.channels(op.neg)) * x
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
            step = own.channels(op.step)
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
