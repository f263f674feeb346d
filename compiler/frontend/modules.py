"""Table of torch layers and how each becomes nodes of the float network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch  # noqa: TID253
from numpy.typing import NDArray
from torch import nn  # noqa: TID253

from bnnhw.compiler.frontend.adabin import activation, two_value_conv
from bnnhw.compiler.ir import (
    AvgPool,
    BatchNorm,
    Bias,
    Binarize,
    BinaryConv,
    Clamp,
    Conv,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Op,
    Shape,
    Shortcut,
    TwoSlope,
)
from bnnhw.errors import BnnhwError, UnsupportedError
from bnnhw.models import codebook, layers


class Emit:
    """Adds the nodes of the layer at ``path``, each reading the one before; ``last`` is the name of the newest."""

    def __init__(
        self, path: str, add: Callable[..., str], source: str, shapes: Mapping[str, Shape], weight_bits: int
    ) -> None:
        self.path, self.last, self.weight_bits = path, source, weight_bits
        self._add, self._shapes = add, shapes

    @property
    def shape(self) -> Shape:
        """Shape of the newest map."""
        return self._shapes[self.last]

    def __call__(self, op: Op, part: str = "") -> None:
        """Add ``op``, named ``path`` or ``path.part``."""
        self.last = self._add(f"{self.path}.{part}" if part else self.path, op, self.last)

    def require(self, condition: bool, rule: str, value: object) -> None:
        """Refuse a parameter of the layer that has no counterpart."""
        if not condition:
            raise UnsupportedError(f"layer '{self.path}': {rule}, not {value}")


@dataclass(frozen=True)
class Entry:
    """How a layer type is converted. ``flat``: it reads vectors (N, C) / maps / either (None)."""

    convert: Callable[[Any, Emit], None]
    flat: bool | None = None
    flattens: bool = False


def _array(value: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(value.detach().float().cpu().numpy(), np.float32)


def _square(emit: Emit, what: str, value: Any) -> int:
    """The one number of an int or of a pair of equal ints."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    emit.require(pair[0] == pair[1], f"{what} must be the same along both axes", pair)
    return int(pair[0])


def _conv(module: nn.Conv2d, emit: Emit) -> None:
    emit.require(module.padding_mode == "zeros", "padding_mode must be zeros", module.padding_mode)
    emit.require(tuple(module.dilation) == (1, 1), "dilation must be 1", module.dilation)
    kernel, stride = _square(emit, "kernel_size", module.kernel_size), _square(emit, "stride", module.stride)
    if module.padding == "same":
        emit.require(kernel % 2 == 1, "kernel_size must be odd with padding 'same'", kernel)
        pad = kernel // 2
    else:
        pad = 0 if module.padding == "valid" else _square(emit, "padding", module.padding)
    bias = None if module.bias is None else _array(module.bias)
    emit(Conv(_array(module.weight), bias, stride, pad, module.groups, emit.weight_bits))


def _linear(module: nn.Linear, emit: Emit) -> None:
    bias = None if module.bias is None else _array(module.bias)
    emit(Conv(_array(module.weight)[:, :, None, None], bias, weight_bits=emit.weight_bits))


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, emit: Emit) -> None:
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedError(f"layer '{emit.path}': batch norm must have running statistics, not those of the batch")
    ones = np.ones(module.num_features, np.float32)
    gamma, beta = (_array(module.weight), _array(module.bias)) if module.affine else (ones, 0 * ones)
    emit(BatchNorm(gamma, beta, _array(module.running_mean), _array(module.running_var), module.eps))


def _two_slope(emit: Emit, pos: NDArray[np.float32] | float, neg: NDArray[np.float32] | float, part: str = "") -> None:
    ones = np.ones(emit.shape[0], np.float32)
    emit(TwoSlope(pos * ones, neg * ones), part)


def _prelu(module: nn.PReLU, emit: Emit) -> None:
    _two_slope(emit, 1.0, _array(module.weight))


def _max_pool(module: nn.MaxPool2d, emit: Emit) -> None:
    emit.require(_square(emit, "dilation", module.dilation) == 1, "dilation must be 1", module.dilation)
    _pool(MaxPool(*_pool_window(module, emit)), module.ceil_mode, emit)


def _avg_pool(module: nn.AvgPool2d, emit: Emit) -> None:
    emit.require(module.divisor_override is None, "divisor_override must be None", module.divisor_override)
    _pool(AvgPool(*_pool_window(module, emit), module.count_include_pad), module.ceil_mode, emit)


def _pool_window(module: nn.MaxPool2d | nn.AvgPool2d, emit: Emit) -> tuple[int, int, int]:
    kernel = _square(emit, "kernel_size", module.kernel_size)
    return kernel, _square(emit, "stride", module.stride or kernel), _square(emit, "padding", module.padding)


def _pool(op: MaxPool | AvgPool, ceil_mode: bool, emit: Emit) -> None:
    """ceil_mode counts only where the windows do not divide the map evenly."""
    left = [(size + 2 * op.pad - op.kernel) % op.stride for size in emit.shape[1:]]
    emit.require(not ceil_mode or left == [0, 0], "windows must divide the map evenly with ceil_mode", emit.shape[1:])
    emit(op)


def _adaptive(module: nn.AdaptiveAvgPool2d, emit: Emit) -> None:
    emit.require(module.output_size in (1, (1, 1)), "output_size must be 1", module.output_size)
    emit(GlobalAvgPool())


def _flatten(module: nn.Flatten, emit: Emit) -> None:
    emit.require((module.start_dim, module.end_dim) == (1, -1), "must flatten all but the batch",
                 (module.start_dim, module.end_dim))  # fmt: skip
    if emit.shape[1:] != (1, 1):
        emit(Flatten())


def _nothing(module: nn.Module, emit: Emit) -> None:
    """Identity in evaluation mode."""


def _sign(module: layers.Sign, emit: Emit) -> None:
    emit(Binarize(np.zeros(emit.shape[0], np.float32)))


def _rsign(module: layers.RSign, emit: Emit) -> None:
    emit(Binarize(-_array(module.bias).reshape(-1)))


def _binary_conv(module: layers.BinaryConv2d, emit: Emit) -> None:
    weight, alpha = _array(module.weight), _array(module.scale())
    sign = np.where(weight >= 0, 1, -1)
    emit(BinaryConv(sign, alpha, 0 * alpha, module.stride, module.padding, module.groups))


def _codebook_conv(module: codebook.CodebookConv2d, emit: Emit) -> None:
    words, index = _array(module.words()).astype(np.int32), module.index().cpu().numpy()
    sign, alpha = words[index].reshape(tuple(module.weight.shape)), _array(module.scale())
    emit(BinaryConv(sign, alpha, 0 * alpha, module.stride, module.padding, module.groups, words, index))


def _adabin_activation(module: layers.AdaBinActivation, emit: Emit, part: str = "") -> None:
    alpha, beta = module.alpha_a.item(), module.beta_a.item()
    if alpha == 0:
        raise BnnhwError(f"layer '{emit.path}': alpha_a must not be 0")
    emit(activation(alpha, beta, emit.shape[0]), part)


def _adabin_conv(module: layers.AdaBinConv2d, emit: Emit) -> None:
    _adabin_activation(module.binary_a, emit, "binary_a")
    emit(two_value_conv(_array(module.weight), stride=module.stride, pad=module.padding, groups=module.groups))


def _rprelu(module: layers.RPReLU, emit: Emit) -> None:
    emit(Bias(_array(module.move1).reshape(-1)), "move1")
    _two_slope(emit, 1.0, _array(module.prelu.weight), "prelu")
    emit(Bias(_array(module.move2).reshape(-1)), "move2")


def _maxout(module: layers.Maxout, emit: Emit) -> None:
    _two_slope(emit, _array(module.pos_scale), _array(module.neg_scale))


def _option_a(module: layers.OptionA, emit: Emit) -> None:
    emit(Shortcut(module.stride, module.before, module.after))


MODULES: Mapping[type[nn.Module], Entry] = {
    nn.Conv2d: Entry(_conv, flat=False),
    nn.Linear: Entry(_linear, flat=True),
    nn.BatchNorm1d: Entry(_batch_norm, flat=True),
    nn.BatchNorm2d: Entry(_batch_norm, flat=False),
    nn.PReLU: Entry(_prelu),
    nn.ReLU: Entry(lambda module, emit: _two_slope(emit, 1.0, 0.0)),
    nn.LeakyReLU: Entry(lambda module, emit: _two_slope(emit, 1.0, module.negative_slope)),
    nn.Hardtanh: Entry(lambda module, emit: emit(Clamp(module.min_val, module.max_val))),
    nn.MaxPool2d: Entry(_max_pool, flat=False),
    nn.AvgPool2d: Entry(_avg_pool, flat=False),
    nn.AdaptiveAvgPool2d: Entry(_adaptive, flat=False),
    nn.Flatten: Entry(_flatten, flattens=True),
    nn.Identity: Entry(_nothing),
    nn.Dropout: Entry(_nothing),
    layers.Sign: Entry(_sign),
    layers.RSign: Entry(_rsign, flat=False),
    layers.BinaryConv2d: Entry(_binary_conv, flat=False),
    codebook.CodebookConv2d: Entry(_codebook_conv, flat=False),
    layers.AdaBinActivation: Entry(_adabin_activation),
    layers.AdaBinConv2d: Entry(_adabin_conv, flat=False),
    layers.RPReLU: Entry(_rprelu, flat=False),
    layers.Maxout: Entry(_maxout, flat=False),
    layers.OptionA: Entry(_option_a, flat=False),
}
"""Exact layer types (a subclass may compute something else) and their converters."""
