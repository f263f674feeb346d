"""PokeBNN: cost of the published family to the last product, shapes of a block, torch and NumPy agree."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw import models
from bnnhw.compiler.frontend import pokebnn, torch_exec
from bnnhw.compiler.frontend.pokebnn import Arch
from bnnhw.compiler.ir import AvgPool, BinaryConv, ChannelMean, Graph, Levels, Shortcut, Tile, interpret

SMALL = Arch(width=0.5, base=(32, 64), blocks=(2, 1), size=32, classes=10)


@pytest.fixture(scope="module")
def small() -> Graph:
    return pokebnn.untrained("small", SMALL)


@pytest.mark.parametrize(
    ("name", "ace"),
    [("0.5x", 1.410), ("0.75x", 2.588), ("1.25x", 6.314), ("1.5x", 8.863), ("1.75x", 11.868), ("2x", 15.331)],
)
def test_published_cost(name: str, ace: float) -> None:
    assert round(models.info(models.load(f"pokebnn_{name}")).cost.ace / 1e9, 3) == ace


def test_cost_of_the_middle_one_is_exact() -> None:
    """The official test's value, convolutions and dense layer; weights as bits of the published sizes."""
    info = models.info(models.load("pokebnn_1x"))
    assert info.cost.ace == 4_091_469_824 + 131_072_000
    assert info.cost.weight_bits == 20_676_608 + 4 * 3_632_640 + 8 * (2_112 + 2_048_000)
    assert info.input == (224, 224, 3)


def test_torch_agrees(small: Graph) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    found = interpret.trace(small, images)
    np.testing.assert_allclose(
        found[small.output][:, 0, 0], torch_exec.run(small, images, double=True), rtol=1e-3, atol=1e-3
    )
    assert 0.05 < np.abs(found[small.output]).max() < 50


def test_shortcuts_of_a_block(small: Graph) -> None:
    """Wide to narrow by means of neighbours, narrow to wide by zeros (the PokeConv's own) or by tiles (the block's)."""
    shapes = small.shapes()
    assert shapes["stage1.0.conv1.local.mean"] == (16, 8, 8)
    assert small["stage1.0.conv1.local.mean"].op.scalars() == {"count": 4, "channels": 16}
    local, long = small["stage1.0.conv3.local.wide"].op, small["stage1.0.conv3.add2"]
    assert isinstance(local, Shortcut)
    assert (local.channels_before, local.channels_after) == (0, 48)
    assert long.inputs == ("stage1.0.conv3.add1", "init.act2.bias_out")
    tile = small["stage2.0.conv3.long.wide"].op
    assert isinstance(tile, Tile)
    assert tile.times == 2
    pooled = small["stage2.0.conv3.long.pool"]
    assert isinstance(pooled.op, AvgPool)
    assert (pooled.op.pads, shapes[pooled.name][1:]) == ((0, 1), (4, 4))


def test_padding_is_that_of_tensorflow(small: Graph) -> None:
    """At stride 2 on a map of even size nothing is added before the first row, one row behind the last."""
    halving, other = small["stage2.0.conv2.conv"].op, small["stage1.0.conv2.conv"].op
    assert isinstance(halving, BinaryConv)
    assert isinstance(other, BinaryConv)
    assert (halving.pads, other.pads) == ((0, 1), (1, 1))


def test_levels_round_as_published() -> None:
    """Signed levels to the nearest, unsigned ones down; both clipped."""
    x = np.array([[[[-9.0, -0.6, -0.4, 0.5, 1.4, 9.0]]]], np.float32)
    signed = interpret.evaluate(Levels(np.ones(6), -7, 7), x)
    unsigned = interpret.evaluate(Levels(np.ones(6), 0, 15, 0.0), x)
    assert signed.ravel().tolist() == [-7, -1, 0, 1, 1, 7]
    assert unsigned.ravel().tolist() == [0, 0, 0, 0, 1, 9]
    assert (Levels(np.ones(6), -7, 7).bits, Levels(np.ones(6), 0, 15, 0.0).bits) == (4, 4)


def test_means_of_neighbours_drop_what_is_left_over() -> None:
    x = np.arange(7.0, dtype=np.float32).reshape(1, 1, 1, 7)
    assert interpret.evaluate(ChannelMean(2, 3), x).ravel().tolist() == [0.5, 2.5, 4.5]
    assert interpret.evaluate(ChannelMean(1, 5), x).ravel().tolist() == [0, 1, 2, 3, 4]
    assert interpret.evaluate(Tile(2), x[..., :2]).ravel().tolist() == [0, 1, 0, 1]
