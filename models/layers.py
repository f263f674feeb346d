"""Torch layers of the binary network papers: signs, binary and two-value convolutions, RPReLU, Maxout, option A.

Two rules hold for all of them, and differ from ``torch.sign`` only there: sign(0) = +1, and padding is done after
binarising, so that a tap outside the map adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.models.estimators import annealed_sign, pass_sign, quadratic_sign

MakeConv = Callable[..., nn.Module]
"""(channels in, channels out, stride=) -> a binary convolution, 3x3, padded by one."""
SHARPNESS = (1e-3, 10.0)
"""Of AdaBin's weight gradient at the beginning and at the end of a training."""


def sharpness_at(ends: tuple[float, float], step: int, steps: int) -> float:
    """Between the two ends, by equal factors."""
    first, last = ends
    return first * (last / first) ** (step / steps)


class Paced(nn.Module):
    """A layer whose gradient depends on how far the training is."""

    def pace(self, step: int, steps: int) -> None:
        """Called before training step ``step`` of ``steps``."""

    def settle(self) -> None:
        """Called instead in fine-tuning: as at the end of a training."""
        self.pace(1, 1)


class Sign(nn.Module):
    """sign(x). ``bound``: magnitude of x from which on no gradient passes."""

    def __init__(self, bound: float = 1.0) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, x: Tensor) -> Tensor:
        return quadratic_sign(x, self.bound)


class RSign(Sign):
    """sign(x + bias[c]) with a learned bias per channel (ReActNet)."""

    def __init__(self, channels: int, bound: float = 1.0) -> None:
        super().__init__(bound)
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.bias)


class KernelOptions(TypedDict, total=False):
    """Of every `Kernel`; ``padding``: half the kernel unless told otherwise."""

    stride: int
    padding: int | None
    groups: int


class Kernel(nn.Module):
    """What all convolutions here share: a real weight (out, in / groups, k, k) and the window.

    ``real``: multiplies with the real weights, as in the first of two steps of a training. `AdaBinConv2d` has no such
    step.
    """

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
        self.stride, self.groups, self.real = stride, groups, False
        self.padding = kernel // 2 if padding is None else padding
        fan_in = channels_in // groups * kernel * kernel
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in // groups, kernel, kernel) / fan_in**0.5)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding, groups=self.groups)

    def scale(self) -> Tensor:
        """Mean magnitude of the real weights of each output channel (XNOR-Net), (out,)."""
        return self.weight.detach().abs().mean(dim=(1, 2, 3))

    def scaled(self, x: Tensor, binary: Callable[[], Tensor]) -> Tensor:
        """Convolution with weights scale[o] * ``binary``, or with the real ones."""
        return self.convolve(x, self.weight if self.real else self.scale()[:, None, None, None] * binary())


class BinaryConv2d(Kernel):
    """Convolution with weights scale[o] * sign(w), scale = mean |w| of the output channel, on a binary map.

    Gradients reach weights of magnitude up to ``clip``.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        clip: float = 1.0,
        **options: Unpack[KernelOptions],
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, **options)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        return self.scaled(x, lambda: pass_sign(self.weight, self.clip))


class AdaBinActivation(nn.Module):
    """alpha * (sign((x - beta) / alpha) + beta): two learned values with the centre alpha * beta, threshold beta.

    This is the form of AdaBin's official code; its paper puts the centre at beta. ``bound``: magnitude of
    (x - beta) / alpha from which on no gradient passes.
    """

    def __init__(self, bound: float = 1.0) -> None:
        super().__init__()
        self.bound = bound
        self.alpha_a = nn.Parameter(torch.tensor(1.0))
        self.beta_a = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x - self.beta_a) / self.alpha_a
        # x == beta goes to the upper value, also where alpha is negative
        upper = torch.sign(self.alpha_a.detach())
        side = quadratic_sign(scaled * upper, self.bound) * upper
        return self.alpha_a * (side + self.beta_a)


class AdaBinConv2d(Kernel, Paced):
    """AdaBin's convolution: two-value activations, then weights alpha_w[o] * sign(w - beta_w[o]) + beta_w[o].

    beta_w is the mean and alpha_w the population standard deviation of the real weights of an output channel. The
    gradient of the sign sharpens from ``sharpen[0]`` to ``sharpen[1]`` over the training; that of the activations ends
    at ``bound``.
    """

    sharpness: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        sharpen: tuple[float, float] = SHARPNESS,
        bound: float = 1.0,
        **options: Unpack[KernelOptions],
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, **options)
        self.binary_a = AdaBinActivation(bound)
        self.sharpen = sharpen
        self.register_buffer("sharpness", torch.tensor(sharpen[0]), persistent=False)

    def two_values(self) -> tuple[Tensor, Tensor]:
        """(alpha_w, beta_w), each (out, 1, 1, 1)."""
        beta = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return (self.weight - beta).pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt(), beta

    def pace(self, step: int, steps: int) -> None:
        self.sharpness.fill_(sharpness_at(self.sharpen, step, steps))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.two_values()
        signs = annealed_sign((self.weight - beta) / alpha, self.sharpness)
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
