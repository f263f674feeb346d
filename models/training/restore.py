"""Begins a training with the weights of a saved network: the layers of the float network back into torch's modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import BatchNorm, Binarize, BinaryConv, Conv, Graph, Input, Op, TwoSlope
from bnnhw.errors import BnnhwError
from bnnhw.models import codebook, layers
from bnnhw.models.training.recipe import Described

Ops = Sequence[Any]
"""Operations that a module became, in order, without those of modules below it."""


def restore(network: nn.Module, graph: Graph, shape: tuple[int, int, int]) -> None:
    """Gives ``network``, for images of ``shape`` (H, W, C), the weights of ``graph``, a float network of the same
    operations.

    Real weights get the signs of the binary ones, and where the layer has two values their mean and deviation. A layer
    with a codebook takes that of the saved one, or where that has none of its size the kernels it has most of.

    Raises BnnhwError for a network that makes its graph itself, where the operations or their shapes are
    others, or one has parameters that its module cannot hold.
    """
    if isinstance(network, Described):
        raise BnnhwError(f"{type(network).__name__} must begin with the state of a training, not with a saved network")
    op = graph.input.op
    assert isinstance(op, Input)
    own = import_module(network, shape, mean=op.mean.tolist(), std=op.std.tolist(), name="")
    name = graph.meta.get("name", "network")
    need, found = own.shapes(), graph.shapes()
    for mine, theirs in zip(own.nodes, graph.nodes, strict=False):
        kinds = [f"{n.op.kind} to {'x'.join(map(str, of[n.name]))}" for n, of in ((mine, need), (theirs, found))]
        if kinds[0] != kinds[1]:
            raise BnnhwError(f"layer '{theirs.name}' of {name} must be a {kinds[0]} to begin with, not a {kinds[1]}")
    if len(own.nodes) != len(graph.nodes):
        raise BnnhwError(f"{name} must have {len(own.nodes)} layers to begin with, not {len(graph.nodes)}")
    ops: dict[str, list[Any]] = {}
    modules = {path: module for path, module in network.named_modules() if type(module) in MODULES}
    for mine, theirs in zip(own.nodes, graph.nodes, strict=True):
        path = next((part for part in _parents(mine.name) if part in modules), None)
        if path is not None:
            ops.setdefault(path, []).append(theirs.op)
    with torch.no_grad():
        for path, parts in ops.items():
            MODULES[type(modules[path])](modules[path], parts)
    again = import_module(network, shape, mean=op.mean.tolist(), std=op.std.tolist(), name="")
    for mine, theirs in zip(again.nodes, graph.nodes, strict=True):
        if not _alike(mine.op, theirs.op):
            raise BnnhwError(f"layer '{theirs.name}' of {name} must be one that '{mine.name}' can be, and is not")


def _alike(op: Op, other: Op) -> bool:
    """Whether all is the same but for binary weights, and the bits that weights are rounded to later; a missing bias is
    0."""
    arrays = {} if isinstance(op, BinaryConv) else op.arrays()
    scalars = {key: value for key, value in op.scalars().items() if key not in ("weight_bits", "words", "index")}
    for key, value in (arrays | scalars).items():
        mine, theirs = (0 if v is None else v for v in (value, getattr(other, key)))
        if not np.allclose(mine, theirs, rtol=1e-4, atol=1e-5):
            return False
    return True


def _parents(path: str) -> list[str]:
    """The path itself, and those it lies below."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _set(parameter: Tensor | None, value: NDArray[Any] | float) -> None:
    assert parameter is not None
    array = torch.from_numpy(np.asarray(value, np.float32).copy())
    parameter.copy_(array.reshape(parameter.shape))


def _conv(module: nn.Conv2d | nn.Linear, ops: Ops) -> None:
    op: Conv = ops[0]
    _set(module.weight, op.weight)
    if module.bias is not None:
        _set(module.bias, np.zeros(len(op.weight)) if op.bias is None else op.bias)


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, ops: Ops) -> None:
    op: BatchNorm = ops[0]
    _set(module.weight, op.gamma)
    _set(module.bias, op.beta)
    _set(module.running_mean, op.mean)
    _set(module.running_var, op.var)


def _spread(op: BinaryConv) -> NDArray[Any]:
    """Real weights with the binary ones' signs around beta, their mean; their deviation is alpha."""
    positive = (op.sign > 0).mean(axis=(1, 2, 3), keepdims=True).clip(0.01, 0.99)
    far = np.where(op.sign > 0, np.sqrt((1 - positive) / positive), -np.sqrt(positive / (1 - positive)))
    return op.alpha[:, None, None, None] * far + op.beta[:, None, None, None]


def _binary_conv(module: layers.Kernel, ops: Ops) -> None:
    op: BinaryConv = ops[0]
    _set(module.weight, op.alpha[:, None, None, None] * op.sign)


def _codebook_conv(module: codebook.CodebookConv2d, ops: Ops) -> None:
    op: BinaryConv = ops[0]
    if module.sharpen is None:
        _binary_conv(module, ops)
    else:
        _set(module.weight, _spread(op))
    if op.words is None or len(op.words) != len(module.patterns):
        module.adopt(torch.from_numpy(op.sign.reshape(-1, codebook.TAPS)).to(module.weight))
    else:
        module.take(torch.from_numpy(op.words).to(module.weight))


def _activation(module: layers.AdaBinActivation, ops: Ops) -> None:
    op: Binarize = ops[0]
    _set(module.alpha_a, (op.high - op.low) / 2)
    _set(module.beta_a, (op.high + op.low) / (op.high - op.low))


def _adabin_conv(module: layers.AdaBinConv2d, ops: Ops) -> None:
    _set(module.weight, _spread(ops[0]))


def _rsign(module: layers.RSign, ops: Ops) -> None:
    _set(module.bias, -ops[0].threshold)


def _maxout(module: layers.Maxout, ops: Ops) -> None:
    op: TwoSlope = ops[0]
    _set(module.pos_scale, op.pos)
    _set(module.neg_scale, op.neg)


def _prelu(module: nn.PReLU, ops: Ops) -> None:
    _set(module.weight, ops[0].neg)


def _rprelu(module: layers.RPReLU, ops: Ops) -> None:
    first, second = ops
    _set(module.move1, first.bias)
    _set(module.move2, second.bias)


MODULES: Mapping[type[nn.Module], Callable[[Any, Ops], None]] = {
    nn.Conv2d: _conv,
    nn.Linear: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.PReLU: _prelu,
    layers.RSign: _rsign,
    layers.BinaryConv2d: _binary_conv,
    layers.AdaBinActivation: _activation,
    layers.AdaBinConv2d: _adabin_conv,
    layers.RPReLU: _rprelu,
    layers.Maxout: _maxout,
    codebook.CodebookConv2d: _codebook_conv,
}
"""Modules with weights, and how they take those of what they became."""
