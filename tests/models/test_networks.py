"""Networks of the recipes: torch, integer network and machine agree; every kind and place of the non-linearity runs."""

from __future__ import annotations

import importlib
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bnnhw import models
from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.frontend.ftbnn import Kind, Place
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph, Shortcut, interpret
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape, plan
from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes import adabin_r20, dwr_r20, ftbnn_r20, snn_r20
from bnnhw.models.resnet import KINDS, Bend, ResNet
from bnnhw.sim import golden, machine
from bnnhw.spec.network import Conv, Pool
from tests.models.kit import pixels, scores

SHAPE = (32, 32, 3)


def realistic(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    """The network with the statistics that random images give its batch norms, and slopes and biases that matter."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.dim() and value.numel() == max(value.shape) and "weight" not in name:
                value += 0.2 * torch.randn(value.shape)
    images = torch.from_numpy(pixels(24, shape)).permute(0, 3, 1, 2) / 127.5 - 1
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the average of all batches
    network.train()
    with torch.no_grad():
        network(images)
    return network.eval()


def imported(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> Graph:
    graph = import_module(network, shape, mean=[0.5] * shape[2], std=[0.5] * shape[2], name="net")
    return calibrate(graph, pixels(24, shape))


@pytest.mark.parametrize("recipe", [adabin_r20, dwr_r20, ftbnn_r20, snn_r20], ids=lambda r: r.RECIPE.name)
def test_recipes_lower_and_run(recipe) -> None:
    """The whole network: its bits are the float network's but for those near a threshold, of which untrained weights
    make more from layer to layer; the machine gives exactly the integer scores."""
    torch.manual_seed(1)
    graph = imported(realistic(recipe.RECIPE.network()))
    network, images = lower(graph), pixels(4, SHAPE)
    found, wanted = golden.trace(network, images), interpret.trace(graph, images)
    names = [layer.post.publish.bits for layer in network.layers if layer.post.publish.bits is not None]
    agreement = [float(((found[name] > 0) == (wanted[name] > wanted[name].mean())).mean()) for name in names]
    assert len(agreement) > 6
    assert agreement[0] > 0.995
    assert min(agreement[:5]) > 0.9
    made = plan(network, shape=Shape(4, 16, 48, 16, 8))
    assert (machine.run(made, images[:2]) == golden.run(network, images[:2])).all()


@pytest.mark.parametrize("place", ["before_norm", "before_add", "after_add"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bends(kind: Kind, place: Place) -> None:
    """A layer each, whatever the place: no map is passed on for a non-linearity's sake."""
    torch.manual_seed(2)
    conv = partial(BinaryConv2d, groups=2)
    shape = (8, 8, 3)
    graph = imported(realistic(ResNet(3, 8, (8,), (3,), conv, bend=Bend(kind, place)), shape), shape)
    network, images = lower(graph), pixels(8, shape)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [Conv, Conv, Conv, Conv, Pool, Conv]
    late = [layer.post.residual.late for layer in network.layers if layer.post.residual is not None]
    assert late == [kind != "none" and place != "after_add"] * 3
    error = scores(network, images) - torch_exec.run(graph, images)
    assert np.abs(error).mean() < 0.1 * torch_exec.run(graph, images).std()
    made = plan(network, shape=Shape(3, 4, 8, 4, 4))
    assert (machine.run(made, images) == golden.run(network, images)).all()


@pytest.mark.parametrize("name", ["adabin_r18_cifar", "adabin_r20", "adabin_vgg", "snn_r20", "snn_vgg"])
def test_recipe_and_catalogue_have_the_same_network(name: str) -> None:
    """Products, weights and their bits, but for those of the stem."""
    torch.manual_seed(1)
    recipe = importlib.import_module(f"bnnhw.models.recipes.{name}").RECIPE
    graph = import_module(recipe.network().eval(), SHAPE, mean=recipe.mean, std=recipe.std, name=name)
    shipped = models.load(name)
    trained, known = models.info(graph).cost, models.info(shipped).cost
    for figure in ("macs", "binary_macs", "bit_ops", "ops", "binary_weights"):
        assert getattr(trained, figure) == getattr(known, figure), figure
    kinds = [[node.op.kind for node in net.nodes if not isinstance(node.op, Shortcut)] for net in (graph, shipped)]
    assert Counter(kinds[0]) == Counter(kinds[1])
