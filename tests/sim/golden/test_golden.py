"""The golden model against hand cases and against loops written straight from the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.errors import BnnhwError
from bnnhw.sim import golden
from bnnhw.sim.golden.model import execute
from bnnhw.sim.golden.windows import convolve
from bnnhw.spec.network import (
    Affine,
    Conv,
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

WIDE = 1 << 30


def post(channels: int, publish: Publish, classes: int = 1, **changes: object) -> Post:
    affine = Affine(np.ones(channels, np.int64), np.zeros((channels, classes), np.int64), 0)
    return Post(
        **{"affine": affine, "residual": None, "slope": None, "low": -WIDE, "high": WIDE, **changes}, publish=publish
    )


def out_size(size: int, window: Window) -> int:
    return (size + 2 * window.pad - window.kernel) // window.stride + 1


def classes_of(size: int, window: Window) -> int:
    return border_axis(size, out_size(size, window), window).count ** 2


def divide(x: int, shift: int) -> int:
    """x / 2**shift, halves up."""
    return (2 * x + (1 << shift)) // (2 << shift)


def naive_conv(network: Network, layer: Conv, a: np.ndarray, residual: np.ndarray | None) -> np.ndarray:
    """y of one image, tap by tap, pixel by pixel."""
    source, out, p = network.tensors[layer.source], network.out_tensor(layer), layer.post
    y_axis, x_axis = (border_axis(s, o, layer.window) for s, o in
                      ((source.height, out.height), (source.width, out.width)))  # fmt: skip
    result = np.zeros((out.height, out.width, out.channels), np.int64)
    for oy in range(out.height):
        for ox in range(out.width):
            for c in range(out.channels):
                dot = count = 0
                for ky in range(layer.window.kernel):
                    for kx in range(layer.window.kernel):
                        iy = oy * layer.window.stride - layer.window.pad + ky
                        ix = ox * layer.window.stride - layer.window.pad + kx
                        if not (0 <= iy < source.height and 0 <= ix < source.width):
                            continue
                        for i in range(source.channels):
                            value = int(a[iy, ix, i])
                            count += value
                            signed = 2 * value - 1 if isinstance(source.format, Bits) else value
                            dot += signed * int(layer.weight[c, i, ky, kx])
                border = y_axis.index(oy) * x_axis.count + x_axis.index(ox)
                v = int(p.affine.scale[c]) * dot + int(p.affine.offset[c, border])
                if p.affine.sum_scale is not None:
                    v += int(p.affine.sum_scale[c]) * count
                v = divide(v, p.affine.shift)
                if p.residual is not None and residual is not None:
                    channel = c - p.residual.pad
                    if 0 <= channel < residual.shape[2]:
                        v += int(residual[oy * p.residual.stride, ox * p.residual.stride, channel])
                if p.slope is not None:
                    z = v + int(p.slope.in_offset[c])
                    v = divide(int((p.slope.pos if z >= 0 else p.slope.neg)[c]) * z, p.slope.shift)
                    v += int(p.slope.out_offset[c])
                result[oy, ox, c] = min(max(v, p.low), p.high)
    return result


@given(seed=st.integers(0, 10**6))
def test_convolution_is_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ins, outs, size = (int(n) for n in rng.integers(1, 6, 3))
    kernel = int(rng.choice([1, 2, 3, 5]))
    window = Window(kernel, int(rng.integers(1, 4)), kernel // 2)
    form = Codes(int(rng.integers(1, 9))) if rng.integers(2) else Bits()
    bits = int(rng.integers(1, 9))
    size = max(size, kernel - 2 * window.pad)
    out = out_size(size, window)
    weight = 2 * rng.integers(-(1 << bits - 1), 1 << bits - 1, (outs, ins, kernel, kernel)) + 1
    sums = rng.integers(-100, 100, outs) if rng.integers(2) else None
    offset = rng.integers(-(10**4), 10**4, (outs, classes_of(size, window)))
    affine = Affine(rng.integers(-100, 100, outs), offset, int(rng.integers(0, 9)), sums)
    slope = TwoSlope(*rng.integers(-100, 100, (4, outs)), int(rng.integers(0, 5))) if rng.integers(2) else None
    stride = int(rng.integers(1, 3))
    far = size >= (out - 1) * stride + 1
    residual = Residual("other", stride, int(rng.integers(0, 3))) if far and rng.integers(2) else None
    publish = Publish("y", "bits", rng.integers(-50, 50, outs), "codes", int(rng.integers(0, 6)))
    layer = Conv("conv", "a", window, weight, bits, Post(affine, residual, slope, -300, 400, publish))
    tensors = {t.name: t for t in (
        Tensor("a", ins, size, size, form), Tensor("other", ins, size, size, Fixed(18, 0)),
        Tensor("y", outs, out, out, Fixed(18, 0)), Tensor("bits", outs, out, out, Bits()),
        Tensor("codes", outs, out, out, Codes(4)))}  # fmt: skip
    network = Network("n", "a", "y", (layer,), tensors)
    a = rng.integers(0, 1 << form.planes, (1, size, size, ins))
    other = rng.integers(-500, 500, (1, size, size, ins))
    found = execute(network, layer, {"a": a, "other": other})
    expected = naive_conv(network, layer, a[0], other[0])
    np.testing.assert_array_equal(found["y"][0], expected)
    np.testing.assert_array_equal(found["bits"][0], expected >= publish.threshold)
    codes = [min(max(divide(int(y), publish.code_shift), 0), 15) for y in expected.ravel()]
    np.testing.assert_array_equal(found["codes"][0].ravel(), codes)


def chain(*layers: object, **tensors: Tensor) -> Network:
    return Network("n", "image", layers[-1].post.publish.value, tuple(layers), {t.name: t for t in tensors.values()})


def test_pools_skip_what_is_out_of_bounds() -> None:
    window = Window(3, 2, 1)
    one = Conv("one", "image", Window(1), np.ones((1, 1, 1, 1), np.int64), 1, post(1, Publish("value")))
    negative = Affine(-np.ones(1, np.int64), np.zeros((1, 1), np.int64), 0)
    one = Conv("one", "image", Window(1), one.weight, 1, post(1, Publish("value"), affine=negative))
    top = Pool("top", "value", window, "max", post(1, Publish("top"), classes=4))
    total = Pool("total", "top", Window(2), "sum", post(1, Publish("total")))
    network = chain(
        one, top, total,
        image=Tensor("image", 1, 4, 4, Codes(8)), value=Tensor("value", 1, 4, 4, Fixed(18, 0)),
        top=Tensor("top", 1, 2, 2, Fixed(18, 0)), total=Tensor("total", 1, 1, 1, Fixed(18, 0)),
    )  # fmt: skip
    image = np.arange(1, 17, dtype=np.uint8).reshape(1, 4, 4, 1)
    maps = golden.trace(network, image)
    np.testing.assert_array_equal(maps["top"][0, :, :, 0], [[-1, -2], [-5, -6]])
    np.testing.assert_array_equal(golden.run(network, image), [[-14]])


def test_rounding_is_half_up_and_saturates() -> None:
    affine = Affine(np.array([1, -1]), np.zeros((2, 1), np.int64), 1)
    weight = np.ones((2, 1, 1, 1), np.int64)
    layer = Conv("l", "image", Window(1), weight, 1, post(2, Publish("y"), affine=affine, low=-2, high=2))
    network = chain(layer, image=Tensor("image", 1, 1, 1, Codes(8)), y=Tensor("y", 2, 1, 1, Fixed(9, 0)))
    images = np.array([1, 2, 3, 200], np.uint8).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(golden.run(network, images), [[1, 0], [1, -1], [2, -1], [2, -2]])


@pytest.mark.parametrize("bits", [1, 8, 20, 30])
def test_products_are_exact_in_every_arithmetic(bits: int) -> None:
    """float32, float64 and int64 are chosen by range; the largest numbers of each must come out exact."""
    weight = np.full((1, 3, 3, 3), (1 << bits) - 1, np.int64)
    x = np.full((1, 3, 3, 3), 255, np.int64)
    assert convolve(x, weight, Window(3), (1, 1), 255)[0, 0, 0, 0] == 27 * 255 * ((1 << bits) - 1)


def test_no_images_give_no_scores() -> None:
    layer = Conv("l", "image", Window(1), np.ones((2, 1, 1, 1), np.int64), 1, post(2, Publish("y")))
    network = chain(layer, image=Tensor("image", 1, 1, 1, Codes(8)), y=Tensor("y", 2, 1, 1, Fixed(9, 0)))
    assert golden.run(network, np.zeros((0, 1, 1, 1), np.uint8)).shape == (0, 2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 1, 1), np.uint8), "images must have shape (N, 1, 1, 1), not (1, 2, 1, 1)"),
        (np.zeros((1, 1, 1, 1), np.float32), "images must be uint8, not float32"),
    ],
)
def test_wrong_images_are_refused(images: np.ndarray, message: str) -> None:
    layer = Conv("l", "image", Window(1), np.ones((2, 1, 1, 1), np.int64), 1, post(2, Publish("y")))
    network = chain(layer, image=Tensor("image", 1, 1, 1, Codes(8)), y=Tensor("y", 2, 1, 1, Fixed(9, 0)))
    with pytest.raises(BnnhwError) as caught:
        golden.run(network, images)
    assert str(caught.value) == message
