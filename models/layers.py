"""Torch layers of the binary network papers: signs, binary, sub-bit and two-value convolutions, RPReLU, option A.

Two rules hold for all of them, and differ from ``torch.sign`` only there: sign(0) = +1, and padding is done after
binarising, so that a tap outside the map adds nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HYSTERESIS = 1e-3
PATTERN_LIMIT = 3.0
REFINE_EVERY = 25
SHARPNESS = (1e-3, 10.0)


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class _SignEstimate(torch.autograd.Function):
    """sign(x) whose gradient is the piecewise quadratic of Bi-Real Net: 2 - 2|x| inside (-1, 1), else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * (2 - 2 * x.abs()).clamp(min=0)


class _SignPass(torch.autograd.Function):
    """sign(w) whose gradient passes where |w| <= clip."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, clip: float) -> Tensor:
        ctx.save_for_backward(w)
        ctx.clip = clip
        return sign(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (w,) = ctx.saved_tensors
        return grads[0] * (w.abs() <= ctx.clip), None


class _SignAnnealed(torch.autograd.Function):
    """sign(w) whose gradient is that of k tanh(t w), k = max(1 / t, 1): nearly 1 at first, the sign's own in the end
    (IR-Net's, which AdaBin trains weights with)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, sharpness: Tensor) -> Tensor:
        ctx.save_for_backward(w, sharpness)
        return sign(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, t = ctx.saved_tensors
        return grads[0] * (t.clamp(min=1) * (1 - torch.tanh(t * w) ** 2)), None


class _Assign(torch.autograd.Function):
    """words[index] for kernels w; the gradient goes to w where |w| <= 1 and, while refining, to the chosen patterns."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, patterns: Tensor, words: Tensor, index: Tensor, refine: bool) -> Tensor:
        ctx.save_for_backward(w, index)
        ctx.refine, ctx.words = refine, patterns.shape
        return words[index].reshape(w.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, index = ctx.saved_tensors
        patterns = None
        if ctx.refine:
            patterns = grads[0].new_zeros(ctx.words)
            patterns.index_add_(0, index.reshape(-1), grads[0].reshape(-1, ctx.words[1]))
        return grads[0] * (w.abs() <= 1), patterns, None, None, None


class Paced(nn.Module):
    """A layer whose gradient depends on how far the training is."""

    def pace(self, step: int, steps: int) -> None:
        """Called before training step ``step`` of ``steps``."""


class Sign(nn.Module):
    """sign(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return _SignEstimate.apply(x)


class RSign(nn.Module):
    """sign(x + bias[c]) with a learned bias per channel (ReActNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return _SignEstimate.apply(x + self.bias)


class _Kernel(nn.Module):
    """What all convolutions here share: a real weight (out, in / groups, k, k) and the window."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.padding = kernel // 2 if padding is None else padding
        fan_in = channels_in // groups * kernel * kernel
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in // groups, kernel, kernel) / fan_in**0.5)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding, groups=self.groups)

    def scale(self) -> Tensor:
        """Mean magnitude of the real weights of each output channel (XNOR-Net), (out,)."""
        return self.weight.detach().abs().mean(dim=(1, 2, 3))


class BinaryConv2d(_Kernel):
    """Convolution with weights scale[o] * sign(w), scale = mean |w| of the output channel, on a binary map.

    Gradients reach weights of magnitude up to ``clip``.
    """

    clip = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.scale()[:, None, None, None] * _SignPass.apply(self.weight, self.clip))


class CodebookConv2d(_Kernel, Paced):
    """Sub-bit 3x3 convolution (SNN): every kernel is the nearest of the layer's 2**tau binary kernels.

    ``patterns`` (2**tau, 9) are learned. A codeword bit is the sign of its pattern where the magnitude is at least
    0.001 and else what it was before (``memory``, saved with the state). Every 25th training step moves the patterns,
    too (`pace`); call `refine` after each.
    """

    memory: Tensor

    def __init__(self, channels_in: int, channels_out: int, tau: int = 5, *, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, 3, stride=stride)
        self.tau = tau
        chosen = torch.randperm(512)[: 1 << tau].sort().values
        bits = chosen[:, None] >> torch.arange(8, -1, -1) & 1
        self.patterns = nn.Parameter(bits.float() * 2 - 1)
        self.register_buffer("memory", bits.float() * 2 - 1)
        self.refining = False

    def words(self) -> Tensor:
        """The codebook in force, (2**tau, 9) of +-1."""
        settled = self.patterns.detach().abs() >= HYSTERESIS
        return torch.where(settled, sign(self.patterns.detach()), self.memory)

    def index(self) -> Tensor:
        """Codeword of every kernel, (out, in): the nearest one, which is the one of largest dot product."""
        return (self.weight.detach().flatten(2) @ self.words().T).argmax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        binary = _Assign.apply(self.weight, self.patterns, self.words(), self.index(), self.refining)
        return self.convolve(x, self.scale()[:, None, None, None] * binary)

    def pace(self, step: int, steps: int) -> None:
        self.refining = step > 0 and step % REFINE_EVERY == 0

    @torch.no_grad()
    def refine(self) -> None:
        """After a training step: remember the codebook; after one that moved patterns replace equal codewords by fresh
        random ones, and bound the patterns."""
        words = self.words()
        if self.refining:
            codes = ((words > 0).long() << torch.arange(8, -1, -1)).sum(dim=1).tolist()
            free = [code for code in torch.randperm(512).tolist() if code not in set(codes)]
            for row, code in enumerate(codes):
                if code in codes[:row]:
                    fresh = torch.tensor([free.pop() >> bit & 1 for bit in range(8, -1, -1)])
                    words[row] = self.patterns[row] = fresh * 2.0 - 1
            self.patterns.clamp_(-PATTERN_LIMIT, PATTERN_LIMIT)
        self.memory.copy_(words)


class AdaBinActivation(nn.Module):
    """alpha * (sign((x - beta) / alpha) + beta): two learned values with the centre alpha * beta, threshold beta.

    This is the form of AdaBin's official code; its paper puts the centre at beta.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alpha_a = nn.Parameter(torch.tensor(1.0))
        self.beta_a = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x - self.beta_a) / self.alpha_a
        # x == beta goes to the upper value, also where alpha is negative
        side = _SignEstimate.apply(scaled * torch.sign(self.alpha_a.detach())) * torch.sign(self.alpha_a.detach())
        return self.alpha_a * (side + self.beta_a)


class AdaBinConv2d(_Kernel, Paced):
    """AdaBin's convolution: two-value activations, then weights alpha_w[o] * sign(w - beta_w[o]) + beta_w[o].

    beta_w is the mean and alpha_w the population standard deviation of the real weights of an output channel. The
    gradient of the sign sharpens from SHARPNESS[0] to SHARPNESS[1] over the training.
    """

    sharpness: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups)
        self.binary_a = AdaBinActivation()
        self.register_buffer("sharpness", torch.tensor(SHARPNESS[0]), persistent=False)

    def two_values(self) -> tuple[Tensor, Tensor]:
        """(alpha_w, beta_w), each (out, 1, 1, 1)."""
        beta = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return (self.weight - beta).pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt(), beta

    def pace(self, step: int, steps: int) -> None:
        first, last = SHARPNESS
        self.sharpness.fill_(first * (last / first) ** (step / steps))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.two_values()
        signs = _SignAnnealed.apply((self.weight - beta) / alpha, self.sharpness)
        return self.convolve(self.binary_a(x), alpha * signs + beta)


class RPReLU(nn.Module):
    """PReLU between two learned biases per channel (ReActNet): prelu(x + move1) + move2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.move1 = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.prelu = nn.PReLU(channels)
        self.move2 = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(x + self.move1) + self.move2


class Maxout(nn.Module):
    """pos_scale[c] * max(x, 0) - neg_scale[c] * max(-x, 0): AdaBin's two-slope function, slopes of either sign."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.neg_scale = nn.Parameter(torch.full((channels,), 0.25))
        self.pos_scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, 1, 1)
        return self.pos_scale.view(shape) * x.clamp(min=0) - self.neg_scale.view(shape) * (-x).clamp(min=0)


class OptionA(nn.Module):
    """ResNet's parameter-free shortcut: every ``stride``-th pixel, zero channels before and after."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride
        self.before = (channels_out - channels_in) // 2
        self.after = channels_out - channels_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))
