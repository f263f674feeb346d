"""Torch definition of PokeBNN, with the arrays' names of `bnnhw.compiler.frontend.pokebnn`.

As the official code has it, but for three things. The engine asks for two: one bound for all channels of a few-bit
activation, and few-bit weights on odd multiples of their step, so that all their bits are signs. And weights of 8 bits
(`PokeInit`, the last dense layer) are real here; lowering rounds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.compiler.frontend.checkpoint import State
from bnnhw.compiler.frontend.pokebnn import EXPANSION, REDUCTION, SE_BITS, STEM, Arch, PokeConv, graph_of
from bnnhw.compiler.ir import Graph
from bnnhw.models.estimators import pass_sign
from bnnhw.models.layers import Kernel

BOUND_MOMENTUM = 0.02
"""Of the running largest magnitude that few-bit activations are clipped at."""


def straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """``rounded``, with the gradient of ``x``."""
    return x + (rounded - x).detach()


class FewBits(nn.Module):
    """An activation of ``bits`` bits, clipped at a running bound: rounded levels of either sign, or unsigned ones that
    are rounded down."""

    largest: Tensor

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__()
        self.low, self.high = (1 - (1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        self.steps, self.rounding = (self.high, 0.5) if signed else (1 << bits, 0.0)
        self.register_buffer("largest", torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()  # levels of 8 bits are too fine for bfloat16
        if self.training:
            self.largest.lerp_(x.detach().abs().max().clamp(min=1e-3), BOUND_MOMENTUM)
        step = self.largest.clone() / self.steps
        levels = torch.floor(x / step + self.rounding).clamp(self.low, self.high)
        return straight_through(x.clamp(self.low * step, self.high * step), step * levels)


class FewBitLinear(nn.Linear):
    """Dense layer of weights of ``SE_BITS`` bits, signs all of them: odd multiples of a step of each output."""

    def rounded(self) -> Tensor:
        """The weights that it multiplies with."""
        levels = 1 << SE_BITS
        step = self.weight.abs().amax(dim=1, keepdim=True) / (levels - 1)
        pairs = torch.floor(self.weight / step / 2).clamp(-levels // 2, levels // 2 - 1)
        return straight_through(self.weight, step * (2 * pairs + 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.rounded(), self.bias)


class DPReLU(nn.Module):
    """Two slopes between two biases, of each channel: slope * (x - bias_in) - bias_out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias_in, self.bias_out = (nn.Parameter(torch.zeros(channels)) for _ in range(2))
        self.pos, self.neg = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        bias_in, bias_out, pos, neg = (p.view(-1, 1, 1) for p in (self.bias_in, self.bias_out, self.pos, self.neg))
        x = x - bias_in
        return pos * x.clamp(min=0) + neg * x.clamp(max=0) - bias_out


class SqueezeExcite(nn.Module):
    """Factors in 0..1 of the output's channels, from the means of the input, by two dense layers of 4 bits."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        hidden = channels_in // REDUCTION
        self.levels1, self.levels2 = FewBits(SE_BITS), FewBits(SE_BITS, signed=False)
        self.fc1, self.fc2 = FewBitLinear(channels_in, hidden), FewBitLinear(hidden, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(self.levels1(x.mean(dim=(2, 3)))))
        return (F.relu6(self.fc2(self.levels2(x)) + 3) / 6)[:, :, None, None]


class Poke(Kernel):
    """One PokeConv: binary convolution, norm, shortcuts, DPReLU, squeeze-excite, norm.

    Gradients reach values up to ``conv.bound``, and weights up to the largest of their filter: all of them.
    """

    def __init__(self, conv: PokeConv) -> None:
        super().__init__(conv.ins, conv.outs, conv.kernel, stride=conv.stride, padding=0)
        self.conv = conv
        self.bn1, self.bn2 = nn.BatchNorm2d(conv.outs), nn.BatchNorm2d(conv.outs)
        if conv.long:
            nn.init.zeros_(self.bn1.weight)
        self.act = DPReLU(conv.outs)
        self.se = SqueezeExcite(conv.ins, conv.outs)

    def forward(self, x: Tensor, entry: Tensor) -> Tensor:
        half = self.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True) / 2
        weight = self.weight if self.real else half * pass_sign(self.weight / half, 2.0)
        level = self.conv.bound / 2
        bits = level * pass_sign(x / level, 2.0)
        # as TensorFlow pads: nothing before the first row of a map of even size at stride 2
        before = 0 if self.conv.stride == 2 and x.shape[2] % 2 == 0 else 1
        if self.conv.kernel > 1:
            bits = F.pad(bits, (before, 1, before, 1))
        y = self.bn1(self.convolve(bits, weight))
        y = y + self._reshaped(x, y, tiled=False)
        if self.conv.long:
            y = y + self._reshaped(entry, y, tiled=True)
        return self.bn2(self.act(y) * self.se(x))

    @staticmethod
    def _reshaped(x: Tensor, like: Tensor, *, tiled: bool) -> Tensor:
        """reshape_add's map."""
        channels, wanted = x.shape[1], like.shape[1]
        if channels > wanted:
            x = x[:, : channels // wanted * wanted].unflatten(1, (wanted, -1)).mean(dim=2)
        if x.shape[2] != like.shape[2]:
            before = x.shape[2] % 2
            x = F.avg_pool2d(F.pad(x, (before, 1, before, 1)), 3, 2)
        if channels < wanted:
            x = x.repeat(1, wanted // channels, 1, 1) if tiled else F.pad(x, (0, 0, 0, 0, 0, wanted - channels))
        return x


class Bottleneck(nn.Module):
    """Three PokeConvs; the last one adds the block's input."""

    def __init__(self, convolutions: list[PokeConv]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = map(Poke, convolutions)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x, x), x), x)


class PokeInit(nn.Module):
    """A convolution of patches and a grouped one, with levels of 8 bits between them."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        first, second = STEM
        self.conv1 = nn.Conv2d(3, first, patch, patch, bias=False)
        self.bn1, self.act1 = nn.BatchNorm2d(first), DPReLU(first)
        self.levels = FewBits(8)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, groups=first, bias=False)
        self.bn2, self.act2 = nn.BatchNorm2d(second), DPReLU(second)

    def forward(self, x: Tensor) -> Tensor:
        x = self.levels(self.act1(self.bn1(self.conv1(x))))
        return self.act2(self.bn2(self.conv2(x)))


class PokeBnn(nn.Module):
    """Normalised images (N, 3, S, S) -> scores (N, classes)."""

    def __init__(self, arch: Arch) -> None:
        super().__init__()
        self.arch = arch
        self.init = PokeInit(arch.patch)
        convolutions = arch.convolutions()
        for stage, count in enumerate(arch.blocks):
            blocks = [Bottleneck([convolutions.pop(0) for _ in range(3)]) for _ in range(count)]
            self.add_module(f"stage{stage + 1}", nn.Sequential(*blocks))
        self.levels = FewBits(8)
        self.fc = nn.Linear(EXPANSION * int(arch.base[-1] * arch.width), arch.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.init(x)
        for stage in range(len(self.arch.blocks)):
            x = getattr(self, f"stage{stage + 1}")(x)
        return self.fc(self.levels(x.mean(dim=(2, 3))))

    def graph(self, *, mean: Sequence[float], std: Sequence[float], **meta: Any) -> Graph:
        """The float network that it is in evaluation mode; ``mean``, ``std``: of the normalised images; ``meta``: its
        metadata."""
        return graph_of(self.arch, self.arrays(), mean=mean, std=std, **meta)

    def arrays(self) -> State:
        """The arrays of ``arch.shapes()``."""
        found = self.state_dict()
        few = {f"{name}.weight": m.rounded() for name, m in self.named_modules() if isinstance(m, FewBitLinear)}
        bounds = {"init.conv2.bound": "init.levels", "fc.bound": "levels"}
        state: State = {}
        for key, shape in self.arch.shapes().items():
            if "bound" in key:
                at = bounds.get(key, key.replace("bound", "levels"))
                value = found[f"{at}.largest"].expand(shape)
            else:
                value = few[key] if key in few else found[key]
            state[key] = value.detach().float().cpu().numpy().copy()
        return state


__all__ = ["PokeBnn"]
