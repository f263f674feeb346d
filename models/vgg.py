"""Torch definition of VGG-small for CIFAR-10: six 3x3 convolutions, all but the first binary, and a dense layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class VggSmall(nn.Module):
    """Normalised images (N, 3, ``size``, ``size``) -> scores (N, 10).

    ``binary``: (channels in, channels out) -> binarisation and convolution; ``bend``: channels -> non-linearity;
    ``widths``: channels of each pair of convolutions, the size is halved right behind the second.
    """

    def __init__(
        self,
        binary: Callable[[int, int], nn.Module],
        bend: Callable[[int], nn.Module],
        widths: Sequence[int] = (128, 256, 512),
        size: int = 32,
    ) -> None:
        super().__init__()
        outs = [width for width in widths for _ in range(2)]
        layers: list[nn.Module] = []
        for n, width in enumerate(outs):
            layers.append(binary(outs[n - 1], width) if n else nn.Conv2d(3, width, 3, padding=1, bias=False))
            if n % 2:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(width), bend(width)]
        self.layers = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.flatten(self.layers(x)))
