"""Random small integer networks: every layer kind, form and odd size that the engine must handle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bnnhw.sim.fuzz.draft import Draft, Maker, Options, Rng, Source, output_size
from bnnhw.spec.network import Conv, Network, Pool, Tensor, Window
from bnnhw.spec.numbers import Bits, Codes

SAMPLES = 6
"""Images on which the parameters are chosen."""
ATTEMPTS = 20


def random_network(
    seed: int, index: int, accept: Callable[[Network], bool] = lambda network: True, grouped: bool = False,
    gated: bool = False,
) -> Network:  # fmt: skip
    """Network number ``index`` of a seed: always the same; its scores differ from image to image.

    Networks that ``accept`` refuses are replaced by others. ``grouped``: with convolutions of several groups;
    ``gated``: with gates, two residuals, folded and weighted pools.
    """
    for attempt in range(ATTEMPTS):
        maker = _make(np.random.default_rng([seed, index, attempt]), grouped, gated)
        if (maker.drafts[-1].y.std(axis=0) > 0).any():
            network = maker.network(f"fuzz {seed}/{index}")
            if accept(network):
                return network
    raise AssertionError(f"no live network for seed {seed}, index {index}")


def random_images(rng: Rng, count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Images (count, H, W, C): ramps of random slope with noise, so that some are flat and some are not."""
    height, width, channels = shape
    y, x = np.mgrid[0:height, 0:width]
    slope = rng.normal(0, 20, (2, count, 1, 1, channels))
    ramp = y[None, :, :, None] * slope[0] + x[None, :, :, None] * slope[1]
    noise = rng.normal(0, 1, (count, height, width, channels)) * rng.choice([0, 10, 80], (count, 1, 1, 1))
    level = rng.uniform(0, 255, (count, 1, 1, channels))
    return np.clip(level + ramp + noise, 0, 255).astype(np.uint8)


def features(network: Network) -> set[str]:
    """Names of what a network exercises, for coverage of a run."""
    found = set()
    for layer in network.layers:
        source, post = network.tensors[layer.source], layer.post
        form = type(source.format).__name__.lower()
        if isinstance(layer, Conv):
            stem = "stem " if layer.source == network.input else ""
            found |= {f"{stem}{layer.window.kernel}x{layer.window.kernel} on {form}"}
            found |= {f"{stem}weights of {layer.weight_bits} bits"}
            found |= {f"codebook {layer.codebook.tau}"} if layer.codebook else set()
            found |= {f"{layer.groups} groups"} if layer.groups > 1 else set()
        else:
            assert isinstance(layer, Pool)
            found |= {f"{layer.mode} pool{' with padding' if layer.window.pad else ''}"}
            found |= {"identity pool"} if layer.window.kernel == 1 and layer.fold == 1 else set()
            found |= {f"fold {layer.fold}"} if layer.fold > 1 else set()
            found |= {"weighted pool"} if layer.weight is not None else set()
        if isinstance(source.format, Codes) and layer.source != network.input:
            found |= {f"codes of {source.format.bits} bits"}
        found |= {f"stride {layer.window.stride}"} | ({"padding"} if layer.window.pad else set())
        found |= {"activation sum"} if post.affine.sum_scale is not None else set()
        found |= {"slope"} if post.slope is not None else set()
        if post.residual is not None:
            pooled = post.residual.tensor.split(".")[0].startswith(("sum", "max"))
            option_a = post.residual.stride > 1
            found |= {"residual " + ("pooled" if pooled else "option A" if option_a else "identity")}
            found |= {"late residual"} if post.residual.late else set()
            found |= {"residual with zero channels"} if post.residual.pad else set()
            found |= {"tiled residual"} if post.residual.tiled else set()
        found |= {"second residual"} if post.second is not None else set()
        found |= {"gate"} if post.gate is not None else set()
    return found


def _make(rng: Rng, grouped: bool, gated: bool) -> Maker:
    size = (int(rng.integers(3, 13)), int(rng.integers(3, 13)))
    image = Tensor("image", int(rng.integers(1, 5)), *size, Codes(8))
    maker = Maker(rng, image, random_images(rng, SAMPLES, (*size, image.channels)).astype(np.int64))
    current = _stem(maker)
    for _ in range(int(rng.integers(1, 6))):
        block = rng.choice(["conv", "residual", "shortcut", "pool", "identity"], p=[0.28, 0.36, 0.16, 0.12, 0.08])
        current = {"conv": _conv, "residual": _residual, "shortcut": _shortcut, "pool": _pool, "identity": _identity}[
            str(block)
        ](maker, current)
    if grouped:
        current = _grouped(maker, current)
    if gated:
        current = _gated(maker, current)
    _head(maker, current)
    return maker


def _stem(maker: Maker) -> Draft:
    rng, source = maker.rng, maker.image()
    kernel = int(rng.choice([1, 3, 5], p=[0.15, 0.6, 0.25]))
    window = Window(kernel, int(rng.integers(1, 3)), int(rng.integers(0, kernel // 2 + 1)))
    if min(output_size(source.map.shape[1:3], window)) < 1:
        window = Window(kernel, 1, kernel // 2)
    for _ in range(2 if rng.random() < 0.1 else 1):
        draft = maker.conv(source, _channels(rng), window, int(rng.integers(1, 9)), _options(rng))
    return draft


def _channels(rng: Rng) -> int:
    return int(rng.integers(1, 41) if rng.random() < 0.4 else rng.integers(1, 14))


def _options(rng: Rng) -> Options:
    slope, clamp = rng.random() < 0.45, rng.random() < 0.2
    number = int(rng.integers(6))  # spreads 4 to 9, of which each third comes with a late residual
    return Options(slope=slope, clamp=clamp, spread=4 + number, late=number % 3 == 2)


def _read(maker: Maker, draft: Draft) -> Source:
    """The draft as the operand of a convolution; it publishes bits or codes, never both."""
    wants_codes = maker.rng.random() < 0.25
    if draft.codes is not None or (wants_codes and draft.bits is None):
        return maker.as_codes(draft, int(maker.rng.integers(1, 9) if maker.rng.random() < 0.3 else 2))
    return maker.as_bits(draft)


def _window(rng: Rng, size: tuple[int, int]) -> Window:
    """A window that fits the map."""
    kernel = int(rng.choice([1, 2, 3, 5], p=[0.25, 0.05, 0.65, 0.05]))
    window = Window(kernel, 2 if rng.random() < 0.3 else 1, int(rng.integers(0, kernel // 2 + 1)))
    return window if min(output_size(size, window)) >= 1 else Window(3, 1, 1)


def _conv(maker: Maker, draft: Draft, window: Window | None = None, options: Options | None = None) -> Draft:
    rng, source = maker.rng, _read(maker, draft)
    options = options or _options(rng)
    window = window or _window(rng, draft.size)
    channels = options.residual[0].channels + options.residual[2] if options.residual else _channels(rng)
    if options.residual and rng.random() < 0.3:
        channels += int(rng.integers(0, 5))
    tau = int(rng.integers(4, 7)) if window.kernel == 3 and rng.random() < 0.35 else 0
    assert isinstance(source.format, Bits | Codes)
    weight_bits = int(rng.integers(2, max(3, 10 - source.format.planes))) if not tau and rng.random() < 0.2 else 1
    options.sums = weight_bits == 1 and rng.random() < 0.25
    return maker.conv(source, channels, window, weight_bits, options, tau)


def _residual(maker: Maker, draft: Draft) -> Draft:
    """A convolution to which an earlier map is added: the identity, or every second pixel between zero channels."""
    rng, options = maker.rng, _options(maker.rng)
    if rng.random() < 0.35 and min(draft.size) > 1:
        window = Window(1, 2, 0) if rng.random() < 0.3 else Window(3, 2, 1)
        options.residual = (draft, 2, int(rng.integers(0, 4)))
    else:
        window = Window(1) if rng.random() < 0.2 else Window(3, 1, 1)
        same = [other for other in maker.drafts if other.size == draft.size]
        options.residual = (same[int(rng.integers(len(same)))], 1, int(rng.integers(0, 3)) if rng.random() < 0.3 else 0)
    return _conv(maker, draft, window, options)


def _grouped(maker: Maker, draft: Draft) -> Draft:
    """A convolution that widens the map for two more of several groups each, the second with the first's result added;
    channels are those that many an array's lanes and columns divide."""
    rng, groups, unit = maker.rng, int(maker.rng.integers(2, 5)), int(maker.rng.choice([4, 6, 12]))
    wide = maker.conv(_read(maker, draft), groups * unit, _window(rng, draft.size), 1, _options(rng))
    for added in (False, True):
        options, window = _options(rng), Window(3, 1, 1) if added or rng.random() < 0.6 else _window(rng, wide.size)
        options.residual = (wide, 1, 0) if added else None
        source = _read(maker, wide)
        tau = 4 if window.kernel == 3 and rng.random() < 0.3 else 0
        weight_bits = 2 if not tau and isinstance(source.format, Bits) and rng.random() < 0.2 else 1
        options.sums = weight_bits == 1 and rng.random() < 0.4
        channels = groups * unit * (1 if added else int(rng.integers(1, 3)))
        wide = maker.conv(source, channels, window, weight_bits, options, tau, groups)
        if channels != groups * unit:
            break
    return wide


def _gated(maker: Maker, draft: Draft) -> Draft:
    """What PokeBNN has: squeeze-excite, a residual that is repeated and one of fewer channels, channels averaged, and a
    depthwise convolution."""
    rng, unit = maker.rng, int(maker.rng.choice([4, 8, 12]))
    fold = int(rng.choice([2, 4])) if rng.random() < 0.8 else 1
    narrow = maker.conv(_read(maker, draft), unit, _window(rng, draft.size), 1, _options(rng))
    if rng.random() < 0.5:
        kernel = int(rng.choice([1, 3]))
        window = Window(kernel, 1, kernel // 2)
        narrow = maker.depthwise(maker.as_value(narrow), window, int(rng.integers(1, 9)), _options(rng))
    options = _options(rng)
    options.residual, options.tiled = (narrow, 1, 0), fold > 1
    options.second = narrow if rng.random() < 0.7 else None
    options.gate = _squeeze(maker, narrow, unit * fold) if rng.random() < 0.8 else None
    wide = maker.conv(maker.as_bits(narrow), unit * fold, Window(3, 1, 1), 1, options)
    mean = maker.pool(maker.as_value(wide), Window(1), "sum", Options(spread=6), fold=fold)
    options = _options(rng)
    options.residual, options.gate = (mean, 1, 0), _squeeze(maker, wide, unit) if rng.random() < 0.5 else None
    options.second = narrow if rng.random() < 0.5 else None
    return maker.conv(maker.as_bits(wide), unit, Window(1), 1, options)


def _squeeze(maker: Maker, draft: Draft, channels: int) -> Draft:
    """Factors from a map's means."""
    bits = int(maker.rng.integers(2, 5))
    pooled = maker.pool(maker.as_value(draft), Window(max(draft.size)), "sum", Options(spread=5), whole=True)
    options = Options(clamp=True, spread=5)
    return maker.conv(maker.as_codes(pooled, bits), channels, Window(1), int(maker.rng.integers(1, 5)), options)


def _shortcut(maker: Maker, draft: Draft) -> Draft:
    """A convolution with stride 2, and the average of 2x2 pixels added to it: itself, or through a 1x1 convolution."""
    if min(draft.size) < 2:
        return _identity(maker, draft)
    rng = maker.rng
    window = Window(2, 2, 0) if all(n % 2 == 0 for n in draft.size) or rng.random() < 0.3 else Window(3, 2, 1)
    pooled = maker.pool(maker.as_value(draft), window, "sum", Options(spread=6))
    if rng.random() < 0.6:
        bits = int(rng.integers(1, 9))
        source = maker.as_codes(pooled, bits)
        pooled = maker.conv(source, _channels(rng), Window(1), int(rng.integers(1, 10 - bits)), Options(spread=6))
    options = _options(rng)
    options.residual = (pooled, 1, 0)
    match = Window(3, 2, 1) if output_size(draft.size, Window(3, 2, 1)) == pooled.size else window
    return _conv(maker, draft, match, options)


def _pool(maker: Maker, draft: Draft) -> Draft:
    rng = maker.rng
    kernel = int(rng.integers(2, 4))
    window = Window(kernel, int(rng.integers(1, 3)), int(rng.integers(0, kernel // 2 + 1)))
    if min(output_size(draft.size, window)) < 1:
        return _identity(maker, draft)
    mode = str(rng.choice(["max", "sum"]))
    return maker.pool(maker.as_value(draft), window, mode, _options(rng))


def _identity(maker: Maker, draft: Draft) -> Draft:
    """A 1x1 pool: the same map with other thresholds."""
    return maker.pool(maker.as_value(draft), Window(1), str(maker.rng.choice(["max", "sum"])), _options(maker.rng))


def _head(maker: Maker, draft: Draft) -> None:
    """Global pooling, then usually a dense layer on codes or bits."""
    rng = maker.rng
    window = Window(max(draft.size))
    mode = "max" if rng.random() < 0.15 else "sum"
    plain = Options(spread=int(rng.integers(5, 12)))
    pooled = maker.pool(maker.as_value(draft), window, mode, plain, whole=True)
    if rng.random() < 0.1:
        return
    source = maker.as_codes(pooled, int(rng.integers(1, 9))) if rng.random() < 0.7 else maker.as_bits(pooled)
    options = _options(rng) if rng.random() < 0.3 else plain
    maker.conv(source, int(rng.integers(1, 14)), Window(1), int(rng.integers(1, 9)), options)
