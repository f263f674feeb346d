"""The machine model gives what the golden model gives, on every shape; and sees what is wrong."""

from dataclasses import replace

import numpy as np
import pytest

from bnnhw.compiler.plan import Shape, plan
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.steps import significances
from bnnhw.errors import BnnhwError
from bnnhw.sim import golden, machine
from bnnhw.sim.fuzz.network import random_images
from bnnhw.sim.fuzz.network import random_network as fuzz_network
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.network import Residual
from bnnhw.spec.program import lane_layout
from tests.sim.machine.plan_networks import SHAPES, Builder, random_network


def check(network, planned, images):
    expected, found = golden.trace(network, images), machine.trace(planned, images)
    assert str(machine.first_mismatch(planned.symbols, expected, found)) == "None"
    assert np.array_equal(found["scores"], expected[network.output][:, 0, 0])


@pytest.mark.parametrize("seed", range(60))
def test_hand_made_networks(seed):
    builder = random_network(seed)
    network, images = builder.build(), builder.images(3)
    for shape in SHAPES[seed % 3 :: 3]:
        check(network, plan(network, shape=shape), images)


@pytest.mark.parametrize("index", range(60))
def test_fuzz_networks(index):
    network = fuzz_network(11, index)
    tensor = network.tensors[network.input]
    images = random_images(np.random.default_rng(index), 3, (tensor.height, tensor.width, tensor.channels))
    for shape in SHAPES[index % 5 :: 5]:
        check(network, plan(network, shape=shape), images)


@pytest.mark.parametrize("seed", range(20))
def test_spread_and_replicated_maps(seed):
    builder = random_network(seed)
    network, images = builder.build(), builder.images(2)
    found = analyse(network)
    for spread in (frozenset(), frozenset(found.uses.convs)):
        check(network, make_plan(found, Shape(2, 8, 16, 4, 4), spread), images)


@pytest.mark.parametrize("shape", [Shape(1, 4, 4, 4, 4), Shape(2, 8, 16, 4, 2), Shape(3, 12, 12, 3, 4)])
@pytest.mark.parametrize("bands", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_bands(shape, bands, stride):
    """A convolution in bands that adds a map and publishes bits, to be read with halos."""
    b = Builder(bands, 14, 7, 2)
    b.conv("image", 5, forms="vb")
    added = f"{b.pool('conv0.value')}.value" if stride == 1 else "conv0.value"
    pool = b.pool("conv0.value", forms="c", code_bits=3)
    residual = Residual(added, stride)
    short = b.conv(f"{pool}.codes", 5, kernel=1, weight_bits=2, residual=residual, forms="vb")
    last = b.conv(f"{short}.bits", 5, residual=Residual(f"{short}.value"), forms="vb")
    b.conv(f"{last}.bits", 4, kernel=3, stride=7, pad=0)
    network = b.build()
    planned = make_plan(analyse(network), shape, bands={len(b.layers) - 4: bands})
    assert planned.engine.jobs == len(network.layers) + 2 * (-(-7 // -(-7 // bands)) - 1)
    check(network, planned, b.images(2))


def test_run_gives_scores_in_batches():
    builder = random_network(3)
    network, images = builder.build(), builder.images(70)
    planned = plan(network, shape=SHAPES[1])
    scores = machine.run(planned, images)
    assert scores.shape == (70, network.tensors[network.output].channels)
    assert np.array_equal(scores, golden.run(network, images))
    assert machine.run(planned, images[:0]).shape == (0, scores.shape[1])


def test_wrong_images():
    builder = random_network(3)
    planned, x = plan(builder.build(), shape=SHAPES[1]), builder.tensors["image"]
    with pytest.raises(BnnhwError) as error:
        machine.run(planned, np.zeros((1, 2, 3, 4), np.uint8))
    assert str(error.value) == f"images must be uint8 (N, {x.height}, {x.width}, {x.channels}), not (1, 2, 3, 4)"


def faulty(planned, name, change):
    """The plan with one memory image changed."""
    words = list(getattr(planned.images, name))
    change(words)
    return replace(planned, images=replace(planned.images, **{name: tuple(words)}))


def set_field(layout, words, number, field, change):
    values = layout.unpack(words[number])
    words[number] = layout.pack(values | {field: change(values[field])})


@pytest.fixture
def whole():
    builder = random_network(20)
    network = builder.build()
    planned = plan(network, shape=Shape(2, 8, 16, 4, 2))
    return network, planned, builder.images(4)


def test_planted_faults_are_located(whole):
    network, planned, images = whole
    expected = golden.trace(network, images)
    config = planned.engine
    lanes, jobs = lane_layout(config), job_layout(config)

    def flip(words):
        words[0] ^= (1 << config.beat_bits) - 1

    faults = [
        ("weights", flip),
        ("params", lambda words: set_field(lanes, words, 0, "scale", lambda x: x + 1 if x < 1 else x - 1)),
        ("jobs", lambda words: set_field(jobs, words, 0, "low", lambda x: 0)),
        ("jobs", lambda words: set_field(jobs, words, 0, "y_low", lambda x: x ^ 1)),
        ("jobs", lambda words: set_field(jobs, words, 0, "bits", lambda x: 1 - x)),
    ]
    for name, change in faults:
        found = machine.trace(faulty(planned, name, change), images)
        first = machine.first_mismatch(planned.symbols, expected, found)
        assert first is not None
        assert first.layer == 0, name


def test_mismatch_names_layer_tensor_pixel_and_channel():
    builder = random_network(3)
    network, images = builder.build(), builder.images(2)
    planned = plan(network, shape=SHAPES[1])
    expected = golden.trace(network, images)
    symbol = planned.symbols[0]
    found = {name: values.copy() for name, values in expected.items()}
    found[symbol.name][1, 2, 0, 0] += 7
    was = int(expected[symbol.name][1, 2, 0, 0])
    first = machine.first_mismatch(planned.symbols, expected, found)
    assert str(first) == f"layer 0, tensor {symbol.name}, image 1, pixel (2, 0), channel 0: {was + 7}, not {was}"


@pytest.mark.parametrize("planes", [(1, 1), (1, 3), (4, 1), (2, 3), (8, 8)])
def test_significances_weigh_every_plane_pair(planes):
    """Doubling on the way gives each pair its weight 2**(i + j)."""
    weights = {}
    for i, j, double in significances(*planes):
        if double:
            weights = {pair: 2 * w for pair, w in weights.items()}
        weights[i, j] = 1
    assert weights == {(i, j): 2 ** (i + j) for i in range(planes[0]) for j in range(planes[1])}
