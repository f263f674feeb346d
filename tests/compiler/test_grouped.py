"""Grouped convolutions: lowered exactly, each group's own constants, refused where they cannot be executed."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.ir import (
    Add,
    BatchNorm,
    Binarize,
    BinaryConv,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    Node,
    Op,
    Shortcut,
    interpret,
)
from bnnhw.compiler.losses import layer_costs
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Limits, Shape, plan
from bnnhw.errors import DoesNotFitError, UnsupportedError
from bnnhw.sim import golden, machine
from bnnhw.spec.network import Conv as IntegerConv
from bnnhw.spec.numbers import Fixed

SIZE = 8
WIDTH = 16
LIMITS = Limits(lut4=83640, bram18k=208, dsp=156)


def binary(rng: np.random.Generator, outs: int, ins: int, groups: int, two_value: bool = False) -> BinaryConv:
    sign = rng.choice([-1, 1], (outs, ins // groups, 3, 3))
    beta = rng.normal(0, 0.1, outs) * two_value
    return BinaryConv(sign, rng.uniform(0.05, 0.1, outs), beta, 1, 1, groups)


def graph_of(*ops: Op, size: int = SIZE) -> Graph:
    nodes = [Node("image", Input(3, size, size, [0.5] * 3, [0.25] * 3))]
    for op in (*ops, GlobalAvgPool()):
        nodes.append(Node(f"n{len(nodes)}", op, (nodes[-1].name,)))
    return Graph(tuple(nodes), nodes[-1].name)


def network_of(groups: int, width: int = WIDTH, seed: int = 1, **options: bool) -> tuple[Graph, np.ndarray]:
    rng = np.random.default_rng(seed)
    stem = Conv(rng.normal(size=(width, 3, 3, 3)) / 5, None, 1, 1)
    norm = BatchNorm(rng.uniform(0.5, 1.5, width), *rng.normal(0, 0.3, (2, width)), rng.uniform(0.5, 1, width))
    threshold = rng.normal(0, 0.3, width)
    ops = [stem, norm, Binarize(threshold, -0.7, 1.2), binary(rng, 2 * width, width, groups, **options)]
    images = rng.integers(0, 256, (6, SIZE, SIZE, 3)).astype(np.uint8)
    return graph_of(*ops), images


def difference(graph: Graph, images: np.ndarray) -> float:
    """Mean difference of the integer network's scores and the float network's, over their deviation."""
    network = lower(calibrate(graph, images))
    form = network.tensors[network.output].format
    assert isinstance(form, Fixed)
    wanted = interpret.run(graph, images)
    return float(np.abs(golden.run(network, images) / 2.0**form.frac - wanted).mean() / wanted.std())


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("two_value", [False, True])
def test_binary_groups_are_close_to_float(groups: int, two_value: bool) -> None:
    """Two-value activations and weights: the activation sum and the constants at borders are those of a group."""
    assert difference(*network_of(groups, two_value=two_value)) < 0.02


def test_multi_bit_groups_are_close_to_float() -> None:
    """Codes of different gain in each channel; a group's weights see its own."""
    rng = np.random.default_rng(2)
    stem = Conv(rng.normal(size=(WIDTH, 3, 3, 3)) * np.exp(rng.normal(size=(WIDTH, 1, 1, 1))), None, 1, 1)
    inner = Conv(rng.normal(size=(2 * WIDTH, WIDTH // 4, 3, 3)), None, 1, 1, groups=4)
    images = rng.integers(0, 256, (6, SIZE, SIZE, 3)).astype(np.uint8)
    assert difference(graph_of(stem, inner), images) < 0.02


@pytest.mark.parametrize("shape", [Shape(3, 8, 16, 4, 4), Shape(2, 4, 8, 2, 4), Shape(2, 8, 4, 4, 4)])
def test_machine_equals_golden(shape: Shape) -> None:
    """Several passes a group, one, and groups that share the depth of the array."""
    graph, images = network_of(4, two_value=True)
    network = lower(graph)
    assert [layer.groups for layer in network.layers if isinstance(layer, IntegerConv)] == [1, 4]
    assert (machine.run(plan(network, shape=shape), images) == golden.run(network, images)).all()


def test_shape_must_divide_the_groups() -> None:
    network = lower(network_of(4)[0])
    for shape, message in (
        (Shape(2, 16, 16, 8, 4), "lanes must divide the 4 channels of each group of layer n4, not be 8"),
        (Shape(2, 12, 16, 4, 4), "cols must divide the 8 channels of each group of layer n4, not be 12"),
    ):
        with pytest.raises(DoesNotFitError) as error:
            plan(network, shape=shape)
        assert str(error.value) == message
    chosen = plan(network, LIMITS).shape
    assert (4 % chosen.lanes, 8 % chosen.cols) == (0, 0)


@pytest.mark.parametrize(
    ("groups", "width", "lanes"), [(2, 18, 9), (6, 18, 3), (5, 15, 3), (2, 34, 17), (3, 36, 4), (8, 8, 1)]
)
def test_any_number_of_groups(groups: int, width: int, lanes: int) -> None:
    """Odd groups take lanes that divide them, down to one channel a group."""
    graph, images = network_of(groups, width, two_value=True)
    network = lower(graph)
    chosen = plan(network, LIMITS)
    assert chosen.shape.lanes == lanes
    assert (machine.run(chosen, images) == golden.run(network, images)).all()


def test_groups_of_the_image_are_refused() -> None:
    stem = Conv(np.ones((6, 1, 3, 3)), None, 1, 1, groups=3)
    with pytest.raises(UnsupportedError) as error:
        plan(lower(graph_of(stem)), shape=Shape(2, 2, 9, 1, 2))
    assert str(error.value) == "layer n1 reads the image: it must have 1 group, not 3"


def test_mixed_groups_are_refused() -> None:
    """A shortcut with zero channels in front stores its channels first: the groups come in another sequence."""
    rng = np.random.default_rng(3)
    nodes = [Node("image", Input(3, SIZE, SIZE, [0.5] * 3, [0.25] * 3))]

    def add(name: str, op: Op, *sources: str) -> None:
        nodes.append(Node(name, op, sources or (nodes[-1].name,)))

    add("stem", Conv(rng.normal(size=(8, 3, 3, 3)), None, 1, 1))
    add("bits", Binarize(np.zeros(8)))
    add("wide", binary(rng, 16, 8, 1))
    add("short", Shortcut(1, 4, 4), "stem")
    add("add", Add(), "wide", "short")
    add("more", Binarize(np.zeros(16)))
    add("grouped", binary(rng, 16, 16, 2))
    add("sum", Add(), "grouped", "add")
    add("pool", GlobalAvgPool())
    add("scores", Conv(rng.normal(size=(10, 16, 1, 1))))
    with pytest.raises(UnsupportedError) as error:
        plan(lower(Graph(tuple(nodes), "scores")), shape=Shape(2, 4, 8, 4, 4))
    assert str(error.value) == (
        "groups of layer grouped must be stored in the same sequence as those of its source more: "
        "a shortcut that adds channels in front mixes them"
    )


def test_groups_use_the_array_as_well() -> None:
    """A layer of four groups and one without, of the same ACE, on one array: its utilisation is within a tenth."""
    shape, used = Shape(7, 16, 64, 16, 16), []
    for groups, width in ((4, 256), (1, 128)):
        rng = np.random.default_rng(4)
        stem = Conv(rng.normal(size=(width, 3, 3, 3)), None, 1, 1)
        network = lower(graph_of(stem, Binarize(np.zeros(width)), binary(rng, width, width, groups), size=14))
        made = plan(network, shape=shape)
        costs = layer_costs(network, made.engine, made.cost, made.layer_of_job)
        used.append(next(cost.ideal / cost.cycles for cost in costs if cost.name == "n3"))
    assert used[0] > 0.9 * used[1]
