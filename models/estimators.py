"""Straight-through gradients: what the papers let pass through a sign, whose own gradient is 0.

sign(0) = +1 in all of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def quadratic_sign(x: Tensor, bound: float = 1.0) -> Tensor:
    """sign(x) with the gradient of a piecewise quadratic: 2 - 2|x| inside (-1, 1), else 0 (Bi-Real Net; activations of
    SNN, AdaBin and DWR). Another ``bound`` stretches it: the area below stays 2, the step of the sign."""
    return _Quadratic.apply(x, bound)


def pass_sign(x: Tensor, clip: float = 1.0) -> Tensor:
    """sign(x) whose gradient passes where |x| <= ``clip`` (weights of SNN and DWR)."""
    return _Pass.apply(x, clip)


def annealed_sign(x: Tensor, sharpness: Tensor, distance: Tensor | None = None) -> Tensor:
    """sign(x) with the gradient of k tanh(t x), t the sharpness, k = max(1 / t, 1): nearly 1 at first, in the end
    the sign's own (IR-Net's; weights of AdaBin). ``distance``: how far each x is from another sign, where that is not
    its magnitude."""
    return _Annealed.apply(x, x if distance is None else distance, sharpness)


def assign(signs: Tensor, patterns: Tensor, words: Tensor, index: Tensor, refine: bool) -> Tensor:
    """words[index], shaped as the kernels of ``signs``, which get the gradient as it is and, where ``refine``, the
    chosen patterns, too (SNN)."""
    return _Assign.apply(signs, patterns, words, index, refine)


class _Quadratic(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return grads[0] * (2 - 2 / ctx.bound * x.abs()).clamp(min=0) / ctx.bound, None


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.clip = clip
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() <= ctx.clip), None


class _Annealed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, distance: Tensor, sharpness: Tensor) -> Tensor:
        ctx.save_for_backward(distance, sharpness)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        distance, t = ctx.saved_tensors
        return grads[0] * (t.clamp(min=1) * (1 - torch.tanh(t * distance) ** 2)), None, None


class _Assign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signs: Tensor, patterns: Tensor, words: Tensor, index: Tensor, refine: bool) -> Tensor:
        ctx.save_for_backward(index)
        ctx.refine, ctx.words = refine, patterns.shape
        return words[index].reshape(signs.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        patterns = None
        if ctx.refine:
            patterns = grads[0].new_zeros(ctx.words)
            patterns.index_add_(0, index.reshape(-1), grads[0].reshape(-1, ctx.words[1]))
        return grads[0], patterns, None, None, None
