"""PokeBNN on the integer network: every layer as the float network has it, circuit and machine as the golden model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from bnnhw import boards
from bnnhw.compiler.frontend import pokebnn
from bnnhw.compiler.frontend.pokebnn import Arch
from bnnhw.compiler.ir import (
    Add,
    BatchNorm,
    Binarize,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    Levels,
    Node,
    TwoSlope,
    interpret,
)
from bnnhw.compiler.ir.lowered import Pixels
from bnnhw.compiler.losses import layer_costs
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.plan.uses import find_uses
from bnnhw.errors import DoesNotFitError, UnsupportedError
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, Simulation
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.network import Network
from bnnhw.spec.numbers import Codes, Fixed
from bnnhw.spec.spill import spill_layout

ARCH = Arch(0.5, base=(32, 64), blocks=(2, 1), size=64, classes=40)
SDRAM = boards.get("ulx3s").sdram_setup(100_000_000)


def photographs(count: int, size: int = ARCH.size) -> NDArray[np.uint8]:
    picture = load_sample_image("flower.jpg")
    return np.stack([picture[n * 40 :, n * 90 :][:size, :size] for n in range(count)])


def lowered(graph: Graph, widths: Widths) -> tuple[Network, Graph]:
    """The integer network, and the last float network before it."""
    steps: list[Graph] = []
    return lower(graph, widths, after=lambda name, step, seconds: steps.append(step)), steps[-1]


@pytest.mark.parametrize("value", [9, 18])
def test_every_layer_is_close(value: int) -> None:
    """Each layer's float operations, on what the integer network's layers before have made, against the layer itself.

    As a whole networks of random weights differ more: a bit that tips over tips others over.
    """
    network, graph = lowered(pokebnn.untrained("small", ARCH), Widths(value=value, factor=18))
    images = photographs(3)
    made = golden.trace(network, images)
    values: dict[str, NDArray[np.float32]] = {}
    compared = 0
    for node in graph.nodes:
        if isinstance(node.op, Pixels):
            values[node.name] = images.astype(np.float32)
            continue
        result = interpret.evaluate(node.op, *(values[source] for source in node.inputs))
        values[node.name] = result
        tensor = network.tensors.get(node.name)
        if tensor is None:
            continue
        found, compared = made[node.name], compared + 1
        if isinstance(tensor.format, Fixed):
            step = 2.0**-tensor.format.frac
            values[node.name] = (found * step).astype(np.float32)
            low, high = tensor.format.min * step, tensor.format.max * step
            error = np.abs(np.clip(result, low, high) - values[node.name])
            assert error.max() < 2.5 * step, node.name
        elif isinstance(tensor.format, Codes):
            values[node.name] = found.astype(np.float32)
            assert np.abs(result - found).max() <= 1, node.name
        else:
            assert isinstance(node.op, Binarize)
            values[node.name] = np.where(found == 1, node.op.high, node.op.low).astype(np.float32)
            assert (result == values[node.name]).mean() > 0.999, node.name
    assert compared > 50


def check(plan: Plan, images: NDArray[np.uint8]) -> None:
    """Machine and circuit, every map, every score, every cycle."""
    expected = golden.trace(plan.network, images)
    assert first_mismatch(plan.symbols, expected, machine.trace(plan, images)) is None
    with Simulation.of(plan, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[plan.network.output][:, 0, 0])
    foreseen = plan.foreseen(len(images))
    assert max(foreseen) >= len(plan.cost.frames)
    assert {n: result.cycles[n] for n in foreseen} == foreseen
    assert result.counters[-2] == {"frame": plan.cost.frame} | plan.cost.causes()


def test_circuit() -> None:
    """Wide maps in the SDRAM, folded and pooled from the ring, one of two residuals loaded and the other kept; the
    image by the front unit with its slopes."""
    found = analyse(lower(pokebnn.untrained("small", ARCH)))
    spilled = list(spill_levels(found.network, found.uses, True))[1]
    plan = make_plan(found, Shape(4, 8, 32, 4, 1, 8), external=SDRAM, spilled=spilled)
    engine = plan.engine
    assert engine.folds
    assert engine.pool_weight_width
    assert engine.post.gate_width
    assert engine.post.second
    assert engine.post.tiled
    jobs = [job_layout(engine).unpack(word) for word in plan.images.jobs]
    assert any(job["res_ring"] and job["second"] for job in jobs)
    assert engine.spill is not None
    assert not engine.spill.second
    assert plan.cost.causes()["spill"]
    check(plan, photographs(len(plan.cost.frames) + 3))


def test_circuit_of_residuals_in_the_sdram() -> None:
    """All wide maps in the SDRAM: both residuals of a layer, of different channels or one of them repeated, are loaded
    in turns. Slots are alike, though some steps use a few of them only."""
    found = analyse(lower(pokebnn.untrained("small", ARCH)))
    *_, every = spill_levels(found.network, found.uses, True)
    plan = make_plan(found, Shape(4, 8, 32, 4, 1, 8), frozenset(found.uses.convs), SDRAM, spilled=every)
    assert plan.engine.alike
    assert plan.engine.partial
    layout = spill_layout(plan.engine)
    jobs = [layout.unpack(word) for word in plan.images.spills]
    assert any(
        job["second"] and job["second_last_pass"] < job["load_last_pass"] and not job["load_tile"] for job in jobs
    )
    assert any(job["second"] and job["load_tile"] for job in jobs)
    costs = layer_costs(plan.network, plan.engine, plan.cost, plan.layer_of_job)
    assert sum(cost.cycles for cost in costs) == plan.cost.frame  # those of weighted pools, too
    check(plan, photographs(len(plan.cost.frames) + 3))


def test_residuals_that_stay_on_the_chip() -> None:
    """The smaller of two whose rows differ, or of which the front unit's map is one; else none."""
    network = lower(pokebnn.untrained("small", ARCH))
    uses, front = find_uses(network), str(network.layers[0].post.publish.value)
    names = {front, *(residual.tensor for layer in network.layers for residual in layer.post.residuals)}

    def kept(index: int, **changes: object) -> set[str]:
        layers = list(network.layers)
        second = layers[index].post.second
        assert second is not None
        post = replace(layers[index].post, second=replace(second, **changes))
        layers[index] = replace(layers[index], post=post)
        *_, every = spill_levels(replace(network, layers=tuple(layers)), uses, True)
        return names - every

    def smaller(*maps: str) -> set[str]:
        found = [network.tensors[name] for name in maps]
        return {min(found, key=lambda t: t.height * t.width * t.channels).name}

    pairs = [index for index, layer in enumerate(network.layers) if layer.post.second is not None]
    for index in pairs:
        one, other = (residual.tensor for residual in network.layers[index].post.residuals)
        assert kept(index) == set()
        assert kept(index, stride=2) == smaller(one, other)
        assert kept(index, tensor=front) == smaller(one, front)


def depthwise(outs: int, more: tuple[Node, ...] = ()) -> Graph:
    """An image's convolution, 4 channels, and a depthwise one behind it of ``outs`` channels."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(outs, 1, 3, 3)).astype(np.float32)
    nodes: tuple[Node, ...] = (
        Node("image", Input(3, 6, 6, [0.4] * 3, [0.3] * 3)),
        Node("stem", Conv(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), None, 1, 1), ("image",)),
        Node("norm", BatchNorm(*rng.uniform(0.5, 1.5, (4, 4)).astype(np.float32)), ("stem",)),
        Node("slope", TwoSlope(np.ones(4, np.float32), np.full(4, 0.2, np.float32)), ("norm",)),
        Node("levels", Levels(np.full(4, 0.02, np.float32), -127, 127), ("slope",)),
        Node("deep", Conv(weight, np.ones(outs, np.float32), 1, 1, 4), ("levels",)),
        *more,
    )
    nodes += (Node("scores", GlobalAvgPool(), (nodes[-1].name,)),)
    return Graph(nodes, "scores")


@pytest.mark.parametrize("outs", [4, 12])
def test_depthwise(outs: int) -> None:
    graph = depthwise(outs)
    steps: list[Graph] = []
    network = lower(graph, Widths(18, 18), after=lambda name, step, seconds: steps.append(step))
    images = photographs(2, 6)
    split = next(step for step in steps if any(node.name == "deep.sum" for node in step.nodes))
    np.testing.assert_allclose(
        interpret.trace(split, images)["deep"], interpret.trace(graph, images)["deep"], atol=0.06
    )
    assert split.shapes()["deep.sum"] == (outs, 6, 6)
    form = network.tensors["scores"].format
    assert isinstance(form, Fixed)
    scores = golden.run(network, images) / 2.0**form.frac
    np.testing.assert_allclose(scores, interpret.run(graph, images), atol=0.06)


def test_repeated_channels_need_their_own_convolution() -> None:
    side = Node("side", Conv(np.ones((8, 4, 1, 1), np.float32)), ("slope",))
    message = "node 'deep' .*: several outputs of one input channel need a convolution before that only they read"
    with pytest.raises(UnsupportedError, match=message):
        lower(depthwise(8, (side, Node("sum", Add(), ("deep", "side")))))


def test_shapes_that_channels_do_not_fit() -> None:
    found = analyse(lower(pokebnn.untrained("small", ARCH)))
    with pytest.raises(
        DoesNotFitError,
        match="lanes must be 4 times a divisor of the channels of layer stage1.0.conv1.local.mean, not 2",
    ):
        make_plan(found, Shape(2, 6, 12, 2, 6))
    with pytest.raises(
        DoesNotFitError, match="cols must divide the 64 channels that layer stage2.0.conv3.conv repeats"
    ):
        make_plan(found, Shape(2, 24, 32, 4, 24))


def test_networks_that_the_engine_refuses() -> None:
    network = lower(pokebnn.untrained("small", ARCH))

    def refused(change: str, layer: str, **post: object) -> None:
        layers = tuple(
            replace(one, post=replace(one.post, **post)) if one.name == layer else one for one in network.layers
        )
        with pytest.raises(UnsupportedError, match=change):
            analyse(replace(network, layers=layers))

    conv = next(one for one in network.layers if one.post.second is not None)
    assert conv.post.gate is not None
    assert conv.post.second is not None
    refused("with a second residual must add both early", conv.name, second=replace(conv.post.second, late=True))
    refused("must be one pixel of", conv.name, gate=replace(conv.post.gate, tensor=conv.post.second.tensor))
    refused("must be a fixed-point tensor, not nothing", conv.name, gate=replace(conv.post.gate, tensor="nothing"))
    tiled = next(
        one for one in network.layers if one.post.second is not None and one.post.second.tiled and one.name > "stage2"
    )
    refused("must divide 128 channels, not have 64 behind 1", tiled.name, second=replace(tiled.post.second, pad=1))
