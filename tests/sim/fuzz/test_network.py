"""Random networks are valid, alive, repeatable and cover what the engine must do; the validator finds faults."""

from dataclasses import replace

import numpy as np
import pytest

from bnnhw.sim import golden
from bnnhw.sim.fuzz.network import features, random_images, random_network
from bnnhw.sim.fuzz.verify import faults
from bnnhw.spec.network import Conv
from bnnhw.spec.numbers import Codes

COUNT = 120
WANTED = {
    "1x1 on bits", "3x3 on bits", "1x1 on codes", "3x3 on codes", "activation sum", "codebook 4", "codebook 5",
    "codebook 6", "identity pool", "max pool", "max pool with padding", "sum pool", "sum pool with padding",
    "padding", "stride 1", "stride 2", "slope", "residual identity", "residual option A", "residual pooled",
    "residual with zero channels", "stem 1x1 on codes", "stem 3x3 on codes", "stem 5x5 on codes",
    *(f"weights of {n} bits" for n in range(1, 9)), *(f"stem weights of {n} bits" for n in range(1, 9)),
    *(f"codes of {n} bits" for n in range(1, 9)),
}  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    return [random_network(3, index) for index in range(COUNT)]


def test_valid(networks):
    assert [faults(network) for network in networks] == [[]] * COUNT


def test_alive(networks):
    """Most scores differ between images that the network was not made with."""
    changing = []
    for index, network in enumerate(networks):
        image = network.tensors[network.input]
        images = random_images(np.random.default_rng(index), 6, (image.height, image.width, image.channels))
        changing.append((golden.run(network, images).std(axis=0) > 0).mean())
    assert np.mean(changing) > 0.85
    assert np.mean(np.array(changing) == 0) < 0.05


def test_coverage(networks):
    seen = set().union(*(features(network) for network in networks))
    assert seen >= WANTED


def test_same_seed_same_network():
    first, second, other = (random_network(seed, 5) for seed in (1, 1, 2))
    assert [str(layer) for layer in first.layers] == [str(layer) for layer in second.layers]
    assert [str(layer) for layer in first.layers] != [str(layer) for layer in other.layers]


def test_refused_networks_are_replaced():
    first = random_network(1, 5)
    second = random_network(1, 5, lambda network: str(network.layers[0]) != str(first.layers[0]))
    assert str(second.layers[0]) != str(first.layers[0])


def broken(change):
    """A valid network in which ``change`` replaced the first convolution."""
    network = next(
        n
        for n in (random_network(3, i) for i in range(99))
        if n.layers[0].post.publish.bits and n.layers[0].post.publish.value
    )
    layer = network.layers[0]
    assert isinstance(layer, Conv)
    return replace(network, layers=(change(layer), *network.layers[1:]))


def post(layer, **changes):
    return replace(layer, post=replace(layer.post, **changes))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: replace(x, weight=x.weight + 1), "weights must be odd and at most"),
        (lambda x: replace(x, weight=x.weight[:, :, :, :0]), "weight has shape"),
        (lambda x: replace(x, source="nothing"), "source nothing must be published earlier"),
        (lambda x: post(x, low=1 << 40, high=1 << 40), "does not fit"),
        (lambda x: post(x, publish=replace(x.post.publish, threshold=None)), "bits need a threshold for each channel"),
        (lambda x: post(x, affine=replace(x.post.affine, scale=x.post.affine.scale[:0])), "scale must be int64"),
        (lambda x: post(x, affine=replace(x.post.affine, offset=x.post.affine.offset[:, :0])), "border classes"),
    ],
)
def test_faults_are_found(change, text):
    found = faults(broken(change))
    assert any(text in line for line in found), found


def test_wrong_format_is_found():
    network = random_network(3, 0)
    layer = network.layers[0]
    name = layer.post.publish.value or layer.post.publish.bits
    tensors = dict(network.tensors) | {name: replace(network.tensors[name], format=Codes(3))}
    assert any(f"{name} must be" in line for line in faults(replace(network, tensors=tensors)))
