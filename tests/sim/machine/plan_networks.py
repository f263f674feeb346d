"""Random integer networks for the planner and the machine model: every form of layer, sizes that divide nothing."""

from __future__ import annotations

import numpy as np

from bnnhw.compiler.plan import Shape
from bnnhw.spec.network import (
    Affine,
    Codebook,
    Conv,
    Layer,
    Network,
    Pool,
    Post,
    Publish,
    Residual,
    Tensor,
    TwoSlope,
    Window,
    border_axis,
)
from bnnhw.spec.numbers import Bits, Codes, Fixed

VALUE = Fixed(12, 4)
LIMIT = VALUE.max


class Builder:
    """Adds layers with random numbers; each returns the name of the layer, its tensors are NAME.value and so on."""

    def __init__(self, seed: int, height: int, width: int, channels: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.tensors = {"image": Tensor("image", channels, height, width, Codes(8))}

    def int(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def ints(self, low: int, high: int, *shape: int) -> np.ndarray:
        return self.rng.integers(low, high + 1, shape)

    def _post(self, name, source, window, outs, size, typical, *, total=False, residual=None, slope=False, forms="v",
              low=-LIMIT - 1, code_bits=2):  # fmt: skip
        axes = [border_axis(s, o, window) for s, o in zip((source.height, source.width), size, strict=True)]
        shift = self.int(0, 6)
        spread = max(1, int((1 << shift) * 200 / max(typical, 1)))
        affine = Affine(
            scale=self.ints(-spread, spread, outs),
            offset=self.ints(-100, 100, outs, axes[0].count * axes[1].count) << shift,
            shift=shift,
            sum_scale=self.ints(-spread, spread, outs) if total else None,
        )
        two = None
        if slope:
            two = TwoSlope(*(self.ints(-a, a, outs) for a in (50, 20, 20, 50)), shift=self.int(2, 4))
        forms = {"v": ("value",), "b": ("bits",), "c": ("codes",), "vb": ("value", "bits"), "vc": ("value", "codes")}[
            forms
        ]
        kinds = {"value": VALUE, "bits": Bits(), "codes": Codes(code_bits)}
        for form in forms:
            self.tensors[f"{name}.{form}"] = Tensor(f"{name}.{form}", outs, *size, kinds[form])
        publish = Publish(
            value=f"{name}.value" if "value" in forms else None,
            bits=f"{name}.bits" if "bits" in forms else None,
            threshold=self.ints(-100, 100, outs) if "bits" in forms else None,
            codes=f"{name}.codes" if "codes" in forms else None,
            code_shift=self.int(3, 8),
        )
        if self.int(0, 5) == 0:
            low = self.int(1, 60)  # positions without a channel then hold another constant than 0
        return Post(affine, residual, two, low, LIMIT, publish)

    def conv(self, source: str, outs: int, kernel=3, stride=1, pad=None, weight_bits=1, book=0, **post) -> str:
        x, name = self.tensors[source], f"conv{len(self.layers)}"
        pad = kernel // 2 if pad is None else pad
        window = Window(kernel, stride, pad)
        size = tuple((s + 2 * pad - kernel) // stride + 1 for s in (x.height, x.width))
        codebook = None
        if book:
            words = 2 * self.ints(0, 1, 1 << book, 9) - 1
            codebook = Codebook(words, self.ints(0, len(words) - 1, outs, x.channels))
            weight = words[codebook.index].reshape(outs, x.channels, 3, 3)
        else:
            top = (1 << weight_bits) - 1
            weight = 2 * self.ints(0, top, outs, x.channels, kernel, kernel) - top
        planes = x.format.planes
        typical = (weight[0].size ** 0.5) * ((1 << planes) - 1) * ((1 << weight_bits) - 1)
        post = self._post(name, x, window, outs, size, typical, **post)
        self.layers.append(Conv(name, source, window, weight, weight_bits, post, codebook))
        return name

    def pool(self, source: str, kernel=2, stride=2, pad=0, mode="sum", **post) -> str:
        x, name = self.tensors[source], f"pool{len(self.layers)}"
        window = Window(kernel, stride, pad)
        size = tuple((s + 2 * pad - kernel) // stride + 1 for s in (x.height, x.width))
        typical = 100 * (kernel * kernel if mode == "sum" else 1)
        self.layers.append(
            Pool(name, source, window, mode, self._post(name, x, window, x.channels, size, typical, **post))
        )
        return name

    def build(self) -> Network:
        last = self.layers[-1].post.publish.value
        return Network("random", "image", last, tuple(self.layers), self.tensors)

    def images(self, count: int) -> np.ndarray:
        x = self.tensors["image"]
        return self.rng.integers(0, 256, (count, x.height, x.width, x.channels), dtype=np.uint8)


def head(b: Builder, name: str, classes: int) -> None:
    """A dense layer over the whole bits map of layer ``name``, or of its pooled value."""
    x = b.tensors[f"{name}.bits"]
    assert x.height == x.width
    b.conv(f"{name}.bits", classes, kernel=x.height, pad=0)


def random_network(seed: int) -> Builder:
    """A small residual network with a bit of everything."""
    b = Builder(seed, 0, 0, 0)
    height, width = b.int(4, 9), b.int(4, 9)
    b.tensors["image"] = Tensor("image", b.int(1, 4), height, width, Codes(8))
    forms = lambda: str(b.rng.choice(["vb", "vc"]))  # noqa: E731
    source = lambda name: next(f"{name}.{f}" for f in ("bits", "codes") if f"{name}.{f}" in b.tensors)  # noqa: E731
    flag = lambda: bool(b.int(0, 1))  # noqa: E731
    channels = b.int(1, 9)
    kernel = int(b.rng.choice([1, 3, 5]))
    name = b.conv("image", channels, kernel=min(kernel, 2 * min(height, width) - 1), stride=b.int(1, 2),
                  weight_bits=b.int(1, 8), forms=forms(), slope=flag())  # fmt: skip
    for _ in range(b.int(1, 5)):
        x = b.tensors[f"{name}.value"]
        kind = b.int(0, 5)
        common = {"forms": forms(), "slope": flag(), "code_bits": b.int(1, 4)}
        if kind == 0 and min(x.height, x.width) >= 2:  # option A shortcut
            outs = x.channels + b.int(0, 6)
            book = b.int(2, 5) if flag() else 0
            residual = Residual(f"{name}.value", 2, b.int(0, outs - x.channels))
            name = b.conv(source(name), outs, stride=2, residual=residual, book=book, total=flag(), **common)
        elif kind == 1 and min(x.height, x.width) >= 2:
            mode = str(b.rng.choice(["sum", "max"]))
            k = b.int(2, min(3, x.height, x.width))
            name = b.pool(f"{name}.value", kernel=k, stride=b.int(1, 2), pad=b.int(0, k // 2), mode=mode, **common)
        elif kind == 2:
            bits = b.int(1, 3)
            name = b.conv(source(name), b.int(1, 12), kernel=1, stride=b.int(1, 2), weight_bits=bits, **common)
        elif kind == 3:  # a binary layer without value, then back
            middle = b.conv(source(name), b.int(1, 10), forms="b", total=flag(), book=b.int(0, 1) * b.int(1, 5))
            name = b.conv(f"{middle}.bits", x.channels, residual=Residual(f"{name}.value"), **common)
        elif kind == 4:  # average pooling shortcut beside a strided convolution
            if min(x.height, x.width) % 2 == 0 and x.height % 2 == 0 and x.width % 2 == 0:
                short = b.pool(f"{name}.value")
                name = b.conv(source(name), x.channels, stride=2, residual=Residual(f"{short}.value"), **common)
        else:
            book = b.int(3, 6) if flag() else 0
            residual = Residual(f"{name}.value") if flag() else None
            outs = x.channels if residual else b.int(1, 12)
            name = b.conv(source(name), outs, residual=residual, book=book, total=flag(), **common)
    x = b.tensors[f"{name}.value"]
    if b.int(0, 1):
        k = min(x.height, x.width)
        name = b.pool(f"{name}.value", kernel=k, stride=k, forms="vb")
        x = b.tensors[f"{name}.value"]
    if x.height == x.width:
        b.conv(source(name), b.int(2, 11), kernel=x.height, pad=0, weight_bits=b.int(1, 4))
    else:
        b.conv(source(name), b.int(2, 11), kernel=min(x.height, x.width), pad=0, stride=max(x.height, x.width))
    return b


SHAPES = [  # rows, cols, depth, lanes, fetch
    Shape(1, 4, 4, 4, 4),
    Shape(2, 8, 16, 4, 2),
    Shape(3, 8, 8, 2, 4),
    Shape(4, 4, 8, 4, 1),
    Shape(4, 8, 32, 8, 2),
    Shape(5, 12, 12, 4, 3),
    Shape(7, 6, 9, 3, 2),
    Shape(8, 16, 64, 16, 4),
    Shape(3, 2, 6, 1, 2),
    Shape(16, 16, 16, 8, 8),
]
