"""SNN's sub-bit convolution in torch: a codebook of binary kernels that is drawn at random and refined in training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnnhw.models.estimators import annealed_sign, assign, pass_sign, sign
from bnnhw.models.layers import Kernel, Paced, sharpness_at

TAPS = 9
KERNELS = 1 << TAPS
"""All binary kernels of 3x3 taps; a kernel's number has its first tap as the highest bit, 1 for +1."""


@dataclass(frozen=True)
class Refinement:
    """How a codebook moves, with the constants of the official code: its patterns begin at +-``size`` and get a
    gradient in every ``every``-th step, a pattern smaller than ``hysteresis`` leaves its bit as it was, and none grows
    beyond ``limit``.

    A pattern is about size / rate refinements away from another sign: 25,000 steps at a rate of 1e-3.
    """

    size: float = 1.0
    every: int = 25
    hysteresis: float = 1e-3
    limit: float = 3.0


class CodebookConv2d(Kernel, Paced):
    """Sub-bit 3x3 convolution (SNN): every kernel is the nearest of the layer's 2**tau binary kernels.

    The codebook begins as a random subset of all kernels, the layer's own. ``patterns`` (2**tau, 9) are learned: a
    codeword bit is the sign of its pattern, or while that is too small to tell what the bit was before (``memory``,
    saved with the state). Training calls `pace` or `settle` before each step and `refine` after it; nothing else
    changes the layer: what it computes depends on its state alone, however often it was called.

    The gradient reaches weights of magnitude up to ``clip``, and the scale of a filter is their mean magnitude, as in
    the official code. With ``sharpen`` weights are standardised first, the scale is their deviation, and the gradient
    is the one of AdaBin's weights (`annealed_sign`), for their `distance` from another sign.
    """

    memory: Tensor
    sharpness: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        tau: int = 5,
        *,
        stride: int = 1,
        clip: float = 1.0,
        sharpen: tuple[float, float] | None = None,
        refinement: Refinement | None = None,
    ) -> None:
        super().__init__(channels_in, channels_out, 3, stride=stride)
        self.tau, self.clip, self.sharpen = tau, clip, sharpen
        self.refinement = refinement or Refinement()
        self.patterns = nn.Parameter(torch.empty(1 << tau, TAPS))
        self.register_buffer("memory", torch.empty(1 << tau, TAPS))
        self.take(spelled(torch.randperm(KERNELS)[: 1 << tau].sort().values))
        self.register_buffer("sharpness", torch.tensor(sharpen[0] if sharpen else 0.0), persistent=False)
        self.refining = False

    def take(self, words: Tensor) -> None:
        """Begin again with this codebook, (2**tau, 9) of +-1."""
        with torch.no_grad():
            self.patterns.copy_(words * self.refinement.size)
            self.memory.copy_(words)

    def adopt(self, kernels: Tensor) -> None:
        """Begin again with those that are most among ``kernels``, (N, 9) of +-1; where too few differ, with any others
        beside them."""
        counts = torch.bincount(torch.tensor(numbers(kernels)), minlength=KERNELS)
        most = counts.argsort(descending=True, stable=True)[: 1 << self.tau]
        self.take(spelled(most.sort().values).to(self.memory))

    def scale(self) -> Tensor:
        if self.sharpen is None:
            return super().scale()
        return self.weight.std(dim=(1, 2, 3), correction=0)

    def standard(self) -> Tensor:
        """The weights that the nearest codewords are found for."""
        if self.sharpen is None:
            return self.weight
        return (self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)) / self.scale()[:, None, None, None]

    def words(self) -> Tensor:
        """The codebook in force, (2**tau, 9) of +-1."""
        patterns = self.patterns.detach()
        return torch.where(patterns.abs() >= self.refinement.hysteresis, sign(patterns), self.memory)

    def _products(self) -> Tensor:
        """Dot product of every kernel and every codeword, (out, in, 2**tau).

        In float32 also where convolutions compute in bfloat16, by which another word would be the nearest for one
        kernel in fifty: the network that is trained would not be the one that is saved.
        """
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.standard().detach().flatten(2) @ self.words().T

    def index(self) -> Tensor:
        """Codeword of every kernel, (out, in): the nearest one, which is the one of largest dot product."""
        return self._products().argmax(dim=2)

    def distance(self) -> Tensor:
        """How far each weight is from another sign, (out, in, 3, 3): half of what the best codeword with the other bit
        there lacks in the dot product, infinite where no codeword has it.

        Of a codebook of all kernels that is the weight's magnitude.
        """
        products, words = self._products(), self.words()
        lacking = (products.amax(dim=2, keepdim=True) - products) / 2
        other = words != words[self.index()][:, :, None]
        return lacking[..., None].where(other, torch.inf).amin(dim=2).reshape(self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.scaled(x, self._binary)

    def _binary(self) -> Tensor:
        """The chosen codeword of every kernel."""
        # out of the graph where they get no gradient, so that no process waits for another's
        patterns = self.patterns if self.refining else self.patterns.detach()
        weight = self.standard()
        if self.sharpen is None:
            signs = pass_sign(weight, self.clip)
        else:
            signs = annealed_sign(weight, self.sharpness, self.distance())
        return assign(signs, patterns, self.words(), self.index(), self.refining)

    def pace(self, step: int, steps: int) -> None:
        self.refining = step > 0 and step % self.refinement.every == 0
        if self.sharpen is not None:
            self.sharpness.fill_(sharpness_at(self.sharpen, step, steps))

    def settle(self) -> None:
        super().settle()
        self.refining = False

    @torch.no_grad()
    def refine(self) -> None:
        """After a training step: remember the codebook; after one that moved patterns replace equal codewords by fresh
        random ones, and bound the patterns."""
        words = self.words()
        if self.refining:
            codes = numbers(words)
            free = [code for code in torch.randperm(KERNELS).tolist() if code not in set(codes)]
            for row, code in enumerate(codes):
                if code in codes[:row]:
                    words[row] = spelled(torch.tensor(free.pop())).to(words)
                    self.patterns[row] = words[row] * self.refinement.size
            self.patterns.clamp_(-self.refinement.limit, self.refinement.limit)
        self.memory.copy_(words)


def spelled(number: Tensor) -> Tensor:
    """Kernels (..., 9) of +-1 by their numbers."""
    bits = number[..., None] >> torch.arange(TAPS - 1, -1, -1) & 1
    return bits.float() * 2 - 1


def numbers(words: Tensor) -> list[int]:
    """Number of each kernel (N, 9)."""
    taps = torch.arange(TAPS - 1, -1, -1, device=words.device)
    found: list[int] = ((words > 0).long() << taps).sum(dim=1).tolist()
    return found
