"""PokeBNN in torch: the same numbers as its float graph, gradients where the paper has them, few-bit levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bnnhw import models
from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.frontend.pokebnn import CIFAR, Arch, untrained
from bnnhw.compiler.frontend.torch_exec import Forward
from bnnhw.compiler.ir import Binarize, Graph, Input
from bnnhw.compiler.lower import lower
from bnnhw.models.pokebnn import FewBitLinear, FewBits, Poke, PokeBnn
from bnnhw.models.recipes.cifar import MEAN, STD
from bnnhw.models.training.loop import statistics
from bnnhw.models.training.recipe import Recipe
from bnnhw.models.training.run import load, run
from bnnhw.spec.network import Conv

SMALL = Arch(base=(16, 32), blocks=(1, 2), size=18, patch=2, classes=10)
"""Maps of odd sizes, and of both paddings."""


def trained(arch: Arch) -> tuple[PokeBnn, torch.Tensor]:
    """A network whose norms and bounds have seen images; images as fractions of 255."""
    torch.manual_seed(2)
    network = PokeBnn(arch)
    for name, value in network.named_parameters():
        if name.endswith(("bias_in", "bias_out", "bn1.weight")):
            torch.nn.init.uniform_(value, -0.4, 0.6)
    images = torch.randint(0, 256, (16, 3, arch.size, arch.size)).float() / 255
    for _ in range(60):
        network(normalised(images))
    return network.eval(), images


def normalised(images: torch.Tensor) -> torch.Tensor:
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@pytest.fixture(scope="module")
def small() -> tuple[PokeBnn, torch.Tensor, Graph]:
    network, images = trained(SMALL)
    return network, images, network.graph(mean=MEAN, std=STD, name="small")


@torch.no_grad()
def test_graph_has_the_same_scores(small: tuple[PokeBnn, torch.Tensor, Graph]) -> None:
    network, images, graph = small
    found = Forward(graph, torch.float32, torch.device("cpu"))(images)
    scores = network(normalised(images))
    assert scores.std() > 0.05
    torch.testing.assert_close(found, scores, rtol=0, atol=2e-5)


def test_few_bit_weights_lower_as_they_are(small: tuple[PokeBnn, torch.Tensor, Graph]) -> None:
    """No weight of the squeeze-excites is rounded again; what all weights of an output share goes into its scale."""
    network, images, graph = small
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    lowered = lower(calibrate(graph, pixels))
    layers = {layer.name: layer for layer in lowered.layers}
    few = {name: m.rounded().detach() for name, m in network.named_modules() if isinstance(m, FewBitLinear)}
    assert len(few) == 2 * len(SMALL.convolutions())
    for name, weights in few.items():
        step = weights.abs().amax(dim=1, keepdim=True) / 15
        whole = (weights / step).round()
        torch.testing.assert_close(weights, step * whole)
        layer = layers[name]
        assert isinstance(layer, Conv)
        ratio = whole.numpy() / layer.weight[:, :, 0, 0]
        np.testing.assert_array_equal(ratio, np.broadcast_to(ratio[:, :1], ratio.shape))


def test_levels() -> None:
    signed, unsigned = FewBits(4).eval(), FewBits(4, signed=False).eval()
    x = torch.tensor([-2.0, -0.5, -0.08, 0.0, 0.06, 0.08, 0.99, 3.0])
    np.testing.assert_allclose(signed(x) * 7, [-7, -3, -1, 0, 0, 1, 7, 7], atol=1e-6)
    np.testing.assert_allclose(unsigned(x) * 16, [0, 0, 0, 0, 0, 1, 15, 15], atol=1e-6)


@pytest.mark.parametrize("bound", [3.0, 1.0])
def test_gradients_pass_up_to_the_bound(bound: float) -> None:
    torch.manual_seed(1)
    poke = Poke(Arch(base=(8,), blocks=(1,), size=8, patch=1, bound=bound).convolutions()[1]).eval()
    poke.se.requires_grad_(False)
    x = bound / 3 * torch.tensor([-3.1, -2.9, -0.1, 2.9, 3.1]).repeat(2)[:8].view(1, 8, 1, 1).expand(1, 8, 4, 4)
    x = x.clone().requires_grad_()
    half = poke.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True) / 2
    signs = torch.where(poke.weight.detach() >= 0, half, -half)
    with torch.no_grad():
        bits = torch.where(x >= 0, bound / 2, -bound / 2)
        expected = torch.nn.functional.conv2d(torch.nn.functional.pad(bits, (1, 1, 1, 1)), signs)
    seen = []
    poke.bn1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    poke(x, x)
    torch.testing.assert_close(seen[0], expected)
    (gradient,) = torch.autograd.grad(seen[0].sum(), x)
    outside = (x.detach().abs() > bound)[0, :, 0, 0]
    assert (gradient[0, outside] == 0).all()
    inside = gradient[0, ~outside]
    expected = torch.nn.functional.conv_transpose2d(torch.ones(1, 8, 4, 4), signs, padding=1)[0, ~outside]
    torch.testing.assert_close(inside, expected)


def test_bits_of_the_float_network_have_the_bound() -> None:
    op = untrained("small", replace(SMALL, bound=1.0))["stage1.0.conv1.sign"].op
    assert isinstance(op, Binarize)
    assert (op.low, op.high) == (-0.5, 0.5)


def test_real_weights_first() -> None:
    """In the first of two steps of a training the convolution multiplies with the real weights."""
    torch.manual_seed(1)
    poke = Poke(Arch(base=(8,), blocks=(1,), size=8, patch=1).convolutions()[0]).eval()
    x, seen = torch.randn(1, 64, 4, 4), list[torch.Tensor]()
    poke.bn1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for poke.real in (True, False):
        poke(x, x)
    torch.testing.assert_close(seen[0], torch.nn.functional.conv2d(torch.where(x >= 0, 1.5, -1.5), poke.weight))
    assert (seen[1] - seen[0]).abs().max() > 0.1


def test_training(tmp_path: Path) -> None:
    """The float network is normalised as the images were."""
    rng = np.random.default_rng(4)
    data = tmp_path / "some.npz"
    np.savez(data, images=rng.integers(0, 200, (48, 18, 18, 3), dtype=np.uint8), labels=rng.integers(0, 10, 48))
    classes = tuple("abcdefghij")
    recipe = Recipe("tiny", "none", lambda: PokeBnn(SMALL), (18, 18, 3), classes, 1, 16, 1e-3, lambda images: images)
    graph = run(recipe, [str(data)], None, 1, 2, None)
    image = graph.input.op
    assert isinstance(image, Input)
    mean, std = statistics(recipe, load(recipe, [str(data)], 1))
    np.testing.assert_array_equal([image.mean, image.std], np.array([mean, std], np.float32))
    assert image.mean.max() < min(MEAN)
    assert graph.meta["weights"] == "trained on some.npz, 48 images, 2 epochs, seed 1"
    lower(graph)


def test_recipe_and_catalogue_have_the_same_network() -> None:
    trained, shipped = (
        PokeBnn(CIFAR).eval().graph(mean=MEAN, std=STD, name="pokebnn_cifar"),
        models.load("pokebnn_cifar"),
    )
    assert models.info(trained).cost == models.info(shipped).cost
