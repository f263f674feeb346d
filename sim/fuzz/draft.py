"""Layers under construction: parameters are drawn so that the values on sample images are spread, not saturated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bnnhw.sim.golden.post import apply_affine, apply_slope, select_residual
from bnnhw.sim.golden.windows import convolve, fold_channels, weighted_sum, window_max, window_sum
from bnnhw.spec.network import (
    Affine,
    Codebook,
    Conv,
    Gate,
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
    border_map,
)
from bnnhw.spec.numbers import Bits, Codes, Fixed, Format, IntArray, round_shift, signed_width

Rng = np.random.Generator
LARGEST_SCALE = (1 << 15) - 1
GATE_SHIFT = 5


@dataclass
class Draft:
    """A layer whose published forms are still open, and its y (N, H, W, C) on the sample images."""

    name: str
    layer: Layer
    y: IntArray
    value: bool = False
    threshold: IntArray | None = None
    bits: IntArray | None = None
    codes: IntArray | None = None
    code_bits: int = 0
    code_shift: int = 0

    @property
    def size(self) -> tuple[int, int]:
        return self.y.shape[1], self.y.shape[2]

    @property
    def channels(self) -> int:
        return int(self.y.shape[3])

    def publish(self) -> Publish:
        """The forms that were asked for."""
        return Publish(
            value=f"{self.name}.value" if self.value else None,
            bits=f"{self.name}.bits" if self.bits is not None else None,
            threshold=self.threshold,
            codes=f"{self.name}.codes" if self.codes is not None else None,
            code_shift=self.code_shift,
        )


@dataclass
class Source:
    """A form of an earlier map that a layer can read, on the sample images."""

    tensor: str
    format: Format
    map: IntArray


@dataclass
class Options:
    """What a layer's post-processing has; each is drawn by the topology."""

    sums: bool = False
    slope: bool = False
    clamp: bool = False
    residual: tuple[Draft, int, int] | None = None
    """Draft, stride, channels of zeros before."""
    late: bool = False
    """With a slope: the residual is added behind it."""
    tiled: bool = False
    """The residual's channels are repeated."""
    second: Draft | None = None
    """Another residual, of the same or fewer channels; then both are early."""
    gate: Draft | None = None
    spread: int = 7
    """log2 of the standard deviation that v gets."""


@dataclass
class Maker:
    """Builds a network layer by layer."""

    rng: Rng
    input: Tensor
    images: IntArray
    drafts: list[Draft] = field(default_factory=list)

    def image(self) -> Source:
        """The network's input."""
        return Source(self.input.name, self.input.format, self.images)

    def as_bits(self, draft: Draft) -> Source:
        """The draft's bits; some channels are constant, the others split near their median."""
        if draft.bits is None:
            flat = draft.y.reshape(-1, draft.channels)
            at = self.rng.uniform(0.25, 0.75, draft.channels)
            threshold = np.array([np.quantile(flat[:, c], q) for c, q in enumerate(at)]).round().astype(np.int64)
            extreme = self.rng.random(draft.channels)
            threshold = np.where(extreme < 0.02, draft.layer.post.low, threshold)
            draft.threshold = np.where(extreme > 0.98, draft.layer.post.high + 1, threshold)
            draft.bits = (draft.y >= draft.threshold).astype(np.int64)
        return Source(f"{draft.name}.bits", Bits(), draft.bits)

    def as_codes(self, draft: Draft, bits: int) -> Source:
        """The draft's unsigned codes, with a shift that uses their range."""
        if draft.codes is None:
            largest = max(1, int(np.quantile(draft.y, 0.98)))
            draft.code_bits, draft.code_shift = bits, max(0, largest.bit_length() - bits)
            draft.codes = np.clip(round_shift(draft.y, draft.code_shift), 0, (1 << bits) - 1)
        return Source(f"{draft.name}.codes", Codes(draft.code_bits), draft.codes)

    def as_value(self, draft: Draft) -> Source:
        """The draft's y itself."""
        draft.value = True
        return Source(f"{draft.name}.value", Fixed(self._width(draft), 0), draft.y)

    def conv(
        self,
        source: Source,
        channels: int,
        window: Window,
        weight_bits: int,
        options: Options,
        tau: int = 0,
        groups: int = 1,
    ) -> Draft:
        """A convolution with random odd weights, or with a random codebook of 2**tau kernels."""
        rng, inputs = self.rng, source.map.shape[3] // groups
        shape = (channels, inputs, window.kernel, window.kernel)
        codebook = None
        if tau:
            picked = rng.permutation(512)[: 1 << tau]
            words = 2 * ((picked[:, None] >> np.arange(8, -1, -1)) & 1) - 1
            index = rng.integers(0, len(words), shape[:2])
            codebook, weight = Codebook(words, index), words[index].reshape(shape)
        else:
            weight = 2 * rng.integers(0, 1 << weight_bits, shape) + 1 - (1 << weight_bits)
        size = output_size(source.map.shape[1:3], window)
        bits = isinstance(source.format, Bits)
        operand = 2 * source.map - 1 if bits else source.map
        largest = 1 if bits else (1 << source.format.planes) - 1  # type: ignore[union-attr]
        x = convolve(operand, weight, window, size, largest, groups)
        total = None
        if options.sums:
            sums = source.map.reshape(*source.map.shape[:3], groups, inputs).sum(axis=4)
            total = window_sum(sums, window, size).repeat(channels // groups, axis=3)
        post, y = self._post(source, window, x, total, options)
        return self._add(
            lambda name: Conv(name, source.tensor, window, weight, weight_bits, post, codebook, groups), "conv", y
        )

    def pool(
        self, source: Source, window: Window, mode: str, options: Options, whole: bool = False, fold: int = 1
    ) -> Draft:
        """A pooling; ``whole`` reduces the map to one pixel, ``fold`` neighbouring channels to one."""
        size = (1, 1) if whole else output_size(source.map.shape[1:3], window)
        x = {"sum": window_sum, "max": window_max}[mode](fold_channels(source.map, fold), window, size)
        post, y = self._post(source, window, x, None, options)
        return self._add(lambda name: Pool(name, source.tensor, window, mode, post, fold), mode, y)

    def depthwise(self, source: Source, window: Window, weight_bits: int, options: Options) -> Draft:
        """A weighted pooling."""
        top = (1 << weight_bits) - 1
        weight = self.rng.integers(-top, top + 1, (source.map.shape[3], window.kernel**2))
        x = weighted_sum(source.map, weight, window, output_size(source.map.shape[1:3], window))
        post, y = self._post(source, window, x, None, options)
        return self._add(
            lambda name: Pool(name, source.tensor, window, "sum", post, weight=weight, weight_bits=weight_bits),
            "depthwise",
            y,
        )

    def network(self, name: str) -> Network:
        """The network; the last draft's y is the scores."""
        self.as_value(self.drafts[-1])
        tensors, layers = {self.input.name: self.input}, []
        for draft in self.drafts:
            layer, forms = draft.layer, draft.publish()
            if forms.value is None and forms.bits is None and forms.codes is None:
                continue  # nobody reads it
            formats = {
                forms.value: Fixed(self._width(draft), 0),
                forms.bits: Bits(),
                forms.codes: Codes(draft.code_bits),
            }
            for tensor, form in formats.items():
                if tensor is not None:
                    tensors[tensor] = Tensor(tensor, draft.channels, *draft.size, form)  # type: ignore[arg-type]
            post = Post(**{**vars(layer.post), "publish": forms})
            layers.append(type(layer)(**{**vars(layer), "post": post}))
        classes = tuple(f"class {i}" for i in range(self.drafts[-1].channels))
        return Network(name, self.input.name, f"{self.drafts[-1].name}.value", tuple(layers), tensors, classes)

    def _width(self, draft: Draft) -> int:
        return signed_width(draft.layer.post.low, draft.layer.post.high)

    def _add(self, make: Callable[[str], Layer], kind: str, y: IntArray) -> Draft:
        name = f"{kind}{len(self.drafts)}"
        self.drafts.append(Draft(name, make(name), y))
        return self.drafts[-1]

    def _post(
        self, source: Source, window: Window, x: IntArray, total: IntArray | None, options: Options
    ) -> tuple[Post, IntArray]:
        """Random post-processing of X (and A) that gives v the wanted spread; and y."""
        rng, channels = self.rng, x.shape[3]
        rows, columns = (border_axis(a, b, window) for a, b in zip(source.map.shape[1:3], x.shape[1:3], strict=True))
        border = border_map(rows, columns)
        goal = float(1 << options.spread)
        shift = int(rng.integers(0, 11))
        scale = self._factors(x, goal, shift, channels)
        sums = None if total is None else self._factors(np.broadcast_to(total, x.shape), goal / 2, shift, channels)
        raw = scale * x + (0 if sums is None or total is None else sums * total)
        centre = -raw.reshape(-1, channels).mean(axis=0) + rng.normal(0, 0.5, channels) * goal * (1 << shift)
        offset = centre[:, None] + rng.normal(0, 0.1, (channels, rows.count * columns.count)) * goal * (1 << shift)
        if rng.random() < 0.3:
            offset = np.repeat(offset[:, :1], offset.shape[1], 1)
        affine = Affine(scale, offset.round().astype(np.int64), shift, sums)
        y = apply_affine(affine, x, total, border)
        out = Tensor("", channels, x.shape[1], x.shape[2], Bits())
        residual, added = None, np.zeros_like(y)
        if options.residual is not None:
            other, stride, before = options.residual
            late = options.slope and options.late and options.second is None
            residual = Residual(self.as_value(other).tensor, stride, before, late, options.tiled)
            added = select_residual(residual, other.y, out)
        second = None
        if options.second is not None:
            second = Residual(self.as_value(options.second).tensor)
            added = added + select_residual(second, options.second.y, out)
        slope = self._slope(channels, goal) if options.slope else None
        early, behind = (0, added) if residual is not None and residual.late else (added, 0)
        y = (y + early if slope is None else apply_slope(slope, y + early)) + behind
        gate = None
        if options.gate is not None:
            gate = Gate(self.as_value(options.gate).tensor, GATE_SHIFT, rng.integers(-20, 21, (channels,)))
            y = round_shift(options.gate.y * y, GATE_SHIFT) + gate.offset
        low, high = self._clamp(y, options.clamp)
        return Post(affine, residual, slope, low, high, Publish(), gate, second), np.clip(y, low, high)

    def _factors(self, x: IntArray, goal: float, shift: int, channels: int) -> IntArray:
        """Factor per channel, of either sign and rarely 0, that brings x to the spread ``goal`` after ``shift``."""
        spread = np.maximum(x.reshape(-1, channels).std(axis=0), 0.5)
        factor = goal * (1 << shift) / spread * self.rng.uniform(0.5, 1.5, channels)
        factor = np.clip(factor.round(), 1, LARGEST_SCALE).astype(np.int64)
        factor *= self.rng.choice([-1, 1], channels, p=[0.3, 0.7])
        return np.where(self.rng.random(channels) < 0.03, 0, factor)

    def _slope(self, channels: int, goal: float) -> TwoSlope:
        rng, shift = self.rng, int(self.rng.integers(0, 9))

        def offsets() -> IntArray:
            return (rng.normal(0, 0.4, channels) * goal).round().astype(np.int64)

        def slopes(mean: float) -> IntArray:
            return (rng.normal(mean, 0.6, channels) * (1 << shift)).round().astype(np.int64)

        pos = np.full(channels, 1 << shift) if rng.random() < 0.4 else slopes(1.0)
        return TwoSlope(offsets(), pos, slopes(0.25), offsets(), shift)

    def _clamp(self, y: IntArray, tight: bool) -> tuple[int, int]:
        """Saturation of y: a clamp inside its values, or the end of a two's complement number that holds most."""
        if tight:
            low, high = (int(np.quantile(y, q)) for q in (self.rng.uniform(0.02, 0.2), self.rng.uniform(0.8, 0.98)))
            return (low, high) if low < high else (low - 1, high + 1)
        largest = int(np.quantile(np.abs(y), self.rng.choice([0.97, 1.0]))) + 1
        width = largest.bit_length()
        return -(1 << width), (1 << width) - 1


def output_size(size: tuple[int, ...], window: Window) -> tuple[int, int]:
    """Outputs of a window with the same padding on all sides."""
    rows, columns = ((n + 2 * window.pad - window.kernel) // window.stride + 1 for n in size)
    return rows, columns
