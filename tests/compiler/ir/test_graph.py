"""Verification, printing and the interpreter of the float network."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.ir import (
    Add,
    AvgPool,
    BatchNorm,
    Binarize,
    BinaryConv,
    ChannelMean,
    Clamp,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Levels,
    MaxPool,
    Node,
    Op,
    Scale,
    Shortcut,
    Tile,
    interpret,
)
from bnnhw.compiler.ir.printer import to_text
from bnnhw.errors import BnnhwError

IMAGE = Node("image", Input(2, 4, 4, [0, 0], [1, 1]))
ONES = np.ones(2)


def graph_of(op: Op, *more: Node) -> Graph:
    return Graph((IMAGE, Node("x", op, ("image",) * op.arity), *more, Node("gap", GlobalAvgPool(), ("x",))), "gap")


SIGN = np.ones((2, 2, 3, 3))


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (BatchNorm(np.ones(3), ONES, ONES, ONES),
         "node 'x' (BatchNorm): gamma must have 2 values, one per channel, not shape (3,)"),
        (BatchNorm([np.nan, 1], ONES, ONES, ONES), "node 'x' (BatchNorm): gamma must be finite, not NaN or infinity"),
        (BatchNorm(ONES, ONES, ONES, [1, -1]), "node 'x' (BatchNorm): var + eps must be positive, not -0.99999"),
        (Conv(np.ones((2, 3, 3, 3))), "node 'x' (Conv): weight must have 2 input channels, not 3"),
        (Conv(np.ones((2, 2, 3, 1))),
         "node 'x' (Conv): weight must have shape (out, in, k, k), not shape (2, 2, 3, 1)"),
        (Conv(np.ones((2, 2, 5, 5))), "node 'x' (Conv): the map must be at least as large as the 5x5 window, not 4x4"),
        (Conv(np.ones((2, 2, 1, 1)), weight_bits=25), "node 'x' (Conv): weight_bits must be in 1..24, not 25"),
        (Conv(np.ones((2, 2, 1, 1)), [1, 2, 3]),
         "node 'x' (Conv): bias must have 2 values, one per filter, not shape (3,)"),
        (Conv(np.ones((3, 1, 1, 1)), groups=2), "node 'x' (Conv): groups must divide the channels, not 2"),
        (BinaryConv(0 * SIGN, ONES, ONES), "node 'x' (BinaryConv): sign must be -1 or +1 everywhere, not other values"),
        (BinaryConv(SIGN, np.ones(1), ONES),
         "node 'x' (BinaryConv): alpha must have 2 values, one per filter, not shape (1,)"),
        (BinaryConv(SIGN, ONES, ONES, words=np.ones((2, 9))),
         "node 'x' (BinaryConv): words and index must be given together, not one of them"),
        (BinaryConv(SIGN, ONES, ONES, words=np.ones((3, 9)), index=np.zeros((2, 2))),
         "node 'x' (BinaryConv): the number of words must be a power of two, not 3"),
        (BinaryConv(SIGN, ONES, ONES, words=np.ones((2, 9)), index=np.full((2, 2), 2)),
         "node 'x' (BinaryConv): index must be in 0..1, not 2..2"),
        (BinaryConv(SIGN, ONES, ONES, words=-np.ones((2, 9)), index=np.zeros((2, 2))),
         "node 'x' (BinaryConv): sign must be what words and index spell, not different"),
        (Clamp(1, -1), "node 'x' (Clamp): low must not be above high, not 1 and -1"),
        (Shortcut(0), "node 'x' (Shortcut): stride must be >= 1 and the added channels >= 0, not (0, 0, 0)"),
        (AvgPool(2, 2, 2), "node 'x' (AvgPool): pad must be in 0..kernel/2, not 2"),
        (MaxPool(5, 1), "node 'x' (MaxPool): the map must be at least as large as the 5x5 window, not 4x4"),
        (MaxPool(2, 2, 0, 2), "node 'x' (MaxPool): pad must be in 0..kernel/2, not 2"),
        (AvgPool(2, 2, 0, True, -1), "node 'x' (AvgPool): pad must be in 0..kernel/2, not -1"),
        (Conv(np.ones((2, 2, 1, 1)), pad_end=-1), "node 'x' (Conv): stride must be >= 1 and pad >= 0, not (1, 0, -1)"),
        (Levels([0.5, 0], 0, 3), "node 'x' (Levels): step must be positive, not 0.0"),
        (Levels(ONES, 1, 3), "node 'x' (Levels): low must be at most 0 and high above 0, not (1, 3)"),
        (Levels(ONES, -1, 0), "node 'x' (Levels): low must be at most 0 and high above 0, not (-1, 0)"),
        (ChannelMean(2, 2), "node 'x' (ChannelMean): count times channels must be in 1..2, not (2, 2)"),
        (ChannelMean(0, 1), "node 'x' (ChannelMean): count times channels must be in 1..2, not (0, 1)"),
        (Tile(0), "node 'x' (Tile): times must be at least 1, not 0"),
        (Scale(), "node 'x' (Scale): the factors must be (2, 1, 1), not (2, 4, 4)"),
    ],
)  # fmt: skip
def test_wrong_parameters_name_the_node(op: Op, message: str) -> None:
    with pytest.raises(BnnhwError) as caught:
        graph_of(op).verify()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("nodes", "output", "message"),
    [
        ((IMAGE, IMAGE), "image", "node name must be unique, not used twice: 'image'"),
        ((IMAGE, Node("x", Clamp(), ("y",))), "x", "node 'x' (Clamp): an input must be an earlier node, not 'y'"),
        ((IMAGE, Node("x", Add(), ("image",))), "x", "node 'x' (Add): must have 2 inputs, not 1"),
        ((IMAGE, Node("s", Shortcut(2), ("image",)), Node("x", Add(), ("image", "s"))), "x",
         "node 'x' (Add): both inputs must have the same shape (2, 4, 4), not (2, 2, 2)"),
        ((), "x", "a network must have exactly 1 input, not 0"),
        ((IMAGE,), "x", "the output of a network must be one of its nodes, not 'x'"),
        ((IMAGE,), "image", "node 'image': the scores must be a 1x1 map, not 4x4"),
    ],
)  # fmt: skip
def test_wrong_graphs(nodes: tuple[Node, ...], output: str, message: str) -> None:
    with pytest.raises(BnnhwError) as caught:
        Graph(nodes, output).verify()
    assert str(caught.value) == message


def test_classes_match_scores() -> None:
    with pytest.raises(BnnhwError) as caught:
        graph_of(Clamp()).with_meta(classes=["a"]).verify()
    assert str(caught.value) == "meta 'classes' must have 2 names, one per score, not 1"


def test_text_is_stable_and_shows_every_change() -> None:
    weight = np.arange(36).reshape(2, 2, 3, 3)
    one, two = (graph_of(Conv(w, [0.5, 1], 1, 1)) for w in (weight, weight + 1e-3 * (weight == 7)))
    assert to_text(one) == (
        "network ?: gap\n"
        "  image = Input() -> 2x4x4 channels=2 height=4 width=4 mean=[0 0] std=[1 1]\n"
        "  x     = Conv(image) -> 2x4x4 stride=1 pad=1 groups=1 weight_bits=8 "
        "weight=f32[2x2x3x3](0..35 #6e5030a4) bias=[0.5 1]\n"
        "  gap   = GlobalAvgPool(x) -> 2x1x1\n"
    )
    assert to_text(one) != to_text(two)


def naive_conv(x: np.ndarray, weight: np.ndarray, stride: int, pad: int, groups: int) -> np.ndarray:
    padded = np.pad(x, [(pad, pad), (pad, pad), (0, 0)])
    outs, ins, k, _ = weight.shape
    size = (x.shape[0] + 2 * pad - k) // stride + 1
    y = np.zeros((size, size, outs))
    for oy, ox, o in np.ndindex(y.shape):
        first = o // (outs // groups) * ins
        part = padded[oy * stride : oy * stride + k, ox * stride : ox * stride + k, first : first + ins]
        y[oy, ox, o] = (part.transpose(2, 0, 1) * weight[o]).sum()
    return y


@pytest.mark.parametrize(("stride", "pad", "groups"), [(1, 0, 1), (1, 1, 1), (2, 1, 2), (3, 2, 1)])
def test_interpreter_convolves(stride: int, pad: int, groups: int) -> None:
    rng = np.random.default_rng(stride)
    x = rng.normal(size=(2, 7, 7, 4)).astype(np.float32)
    weight = rng.normal(size=(6, 4 // groups, 3, 3)).astype(np.float32)
    y = interpret.evaluate(Conv(weight, None, stride, pad, groups), x)
    np.testing.assert_allclose(y[1], naive_conv(x[1], weight, stride, pad, groups), atol=1e-5)
    sign = np.where(weight > 0, 1, -1)
    alpha, beta = rng.random(6), rng.normal(size=6)
    y = interpret.evaluate(BinaryConv(sign, alpha, beta, stride, pad, groups), x)
    spread = (slice(None), None, None, None)
    np.testing.assert_allclose(
        y[0], naive_conv(x[0], alpha[spread] * sign + beta[spread], stride, pad, groups), atol=1e-4
    )


def test_interpreter_pools_and_selects() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(interpret.evaluate(MaxPool(3, 2, 1), x)[0, :, :, 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(interpret.evaluate(MaxPool(3, 2, 1), -x)[0, :, :, 0], [[0, -1], [-4, -5]])
    np.testing.assert_allclose(interpret.evaluate(AvgPool(3, 2, 1), x)[0, 0, 0, 0], 10 / 9)
    np.testing.assert_allclose(interpret.evaluate(AvgPool(3, 2, 1, False), x)[0, 0, 0, 0], 2.5)
    chosen = interpret.evaluate(Shortcut(2, 1, 2), x)
    np.testing.assert_array_equal(chosen[0, :, :, 1], [[0, 2], [8, 10]])
    np.testing.assert_array_equal(chosen.sum(axis=(0, 1, 2)), [0, 20, 0, 0])
    both = np.stack([x, -x], axis=-1)[..., 0, :]
    np.testing.assert_array_equal(interpret.evaluate(Flatten(), both)[0, 0, 0, [0, 1, 16, 17]], [0, 1, 0, -1])
    np.testing.assert_array_equal(interpret.evaluate(Binarize([2.0], 5, 3), x)[0, 0, :, 0], [5, 5, 3, 3])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), "images must have shape (N, 4, 4, 2), not (1, 4, 4, 3)"),
        (np.zeros((1, 4, 4, 2), np.int64), "images must be uint8, not int64"),
    ],
)
def test_wrong_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(BnnhwError) as caught:
        interpret.run(graph_of(Clamp()), images)
    assert str(caught.value) == message
