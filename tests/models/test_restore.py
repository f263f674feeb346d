"""A training begins with a saved network: the same scores where the layers are the same, the nearest they can hold
elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bnnhw import models
from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import BatchNorm, Binarize, BinaryConv, Graph, Node, Op, TwoSlope
from bnnhw.compiler.ir.file import save
from bnnhw.errors import BnnhwError
from bnnhw.models import data as sets
from bnnhw.models.adabin import AdaBinResNet
from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.layers import SHARPNESS, AdaBinActivation, BinaryConv2d
from bnnhw.models.recipes.pokebnn_cifar import pokebnn_cifar
from bnnhw.models.recipes.snn_digits import RECIPE
from bnnhw.models.resnet import Bend, ResNet
from bnnhw.models.training.restore import restore

SHAPE = (16, 16, 3)


def adabin() -> nn.Module:
    return AdaBinResNet((8, 16), (1, 1), projected=True)


def sub_bit(tau: int = 5) -> nn.Module:
    """The same operations, kernels of a codebook."""

    def conv(channels_in: int, channels_out: int, *, stride: int) -> nn.Module:
        return nn.Sequential(
            AdaBinActivation(), CodebookConv2d(channels_in, channels_out, tau, stride=stride, sharpen=SHARPNESS)
        )

    return AdaBinResNet((8, 16), (1, 1), projected=True, conv=conv)


def residual(conv: Callable[..., nn.Module], bend: Bend) -> nn.Module:
    return ResNet(3, 8, (8, 16), (1, 1), conv, bend=bend, normed=True)


def randomised(network: nn.Module, seed: int = 3) -> nn.Module:
    """Every parameter but the kernels and patterns anew, so that none is what it begins with."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and value.dim() != 4 and not name.endswith(("patterns", "memory")):
                value.copy_(torch.rand_like(value) + 0.3)
            elif name.endswith(("move1", "move2", "rsign.bias")):
                value.copy_(torch.randn_like(value) / 4)
    return network.eval()


def graph_of(network: nn.Module) -> Graph:
    return import_module(network.eval(), SHAPE, mean=[0.4] * 3, std=[0.2] * 3, name="net")


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "adabin": adabin,
    "sub_bit": sub_bit,
    "binary": partial(residual, BinaryConv2d, Bend("rprelu")),
    "codebook": partial(residual, CodebookConv2d, Bend("prelu", "before_norm")),
    "two_slope": partial(residual, BinaryConv2d, Bend("two_slope", "before_add")),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_same_layers_same_network(name: str) -> None:
    graph = graph_of(randomised(NETWORKS[name]()))
    again = NETWORKS[name]()
    restore(again, graph, SHAPE)
    for node, other in zip(graph.nodes, graph_of(again).nodes, strict=True):
        for field, value in node.op.arrays().items():
            found = other.op.arrays()[field]
            if field in ("sign", "words", "index"):
                assert np.array_equal(found, value), (node.name, field)
            else:
                assert found == pytest.approx(value, rel=1e-4, abs=1e-5), (node.name, field)
        for field, value in node.op.scalars().items():
            close = value if value is None else pytest.approx(value, rel=1e-5)
            assert other.op.scalars()[field] == close, (node.name, field)


def test_a_codebook_of_the_kernels_that_are_most() -> None:
    graph = graph_of(randomised(adabin()))
    network = sub_bit(tau=3)
    restore(network, graph, SHAPE)
    convs = [node.op for node in graph.nodes if isinstance(node.op, BinaryConv)]
    books = [module for module in network.modules() if isinstance(module, CodebookConv2d)]
    for op, book in zip(convs, books, strict=True):
        kernels, counts = np.unique(op.sign.reshape(-1, 9), axis=0, return_counts=True)
        chosen = {tuple(word) for word in book.words().numpy().tolist()}
        assert len(chosen) == 8
        held = [count for kernel, count in zip(kernels.tolist(), counts, strict=True) if tuple(kernel) in chosen]
        assert sum(held) == np.sort(counts)[-8:].sum()
        same = (book.words()[book.index()].numpy() == op.sign.reshape(*op.sign.shape[:2], 9)).all(axis=2)
        assert same.sum() == sum(held), "a kernel of the codebook stays what it was"
        assert book.scale().detach().numpy() == pytest.approx(op.alpha, rel=1e-4)


def test_another_size_of_codebook_is_filled_up() -> None:
    """Where a network has fewer kernels than the codebook holds."""
    network = sub_bit(tau=9)
    restore(network, graph_of(randomised(sub_bit(tau=2))), SHAPE)
    for book in network.modules():
        if isinstance(book, CodebookConv2d):
            assert len(torch.unique(book.words(), dim=0)) == 512


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (lambda: graph_of(NETWORKS["binary"]()), "layer 'rprelu1.move1' of net must be a TwoSlope to 8x16x16 to begin"),
        (
            lambda: graph_of(AdaBinResNet((8, 24), (1, 1), projected=True)),
            "layer 'layer2.0.conv1' of net must be a BinaryConv to 16x8x8 to begin with, not a BinaryConv to 24x8x8",
        ),
    ],
)
def test_other_layers_are_refused(graph: Callable[[], Graph], text: str) -> None:
    network = adabin()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(BnnhwError) as error:
        restore(network, graph(), SHAPE)
    assert str(error.value).startswith(text)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (Binarize, {"high": 0.5}, "layer 'blocks.0.rsign' of net must be one that 'blocks.0.rsign' can be, and is not"),
        (TwoSlope, {"pos": np.full(8, 0.5)}, "layer 'rprelu1.prelu' of net must be one that 'rprelu1.prelu' can be"),
        (BatchNorm, {"eps": 0.1}, "layer 'bn1' of net must be one that 'bn1' can be, and is not"),
    ],
)
def test_what_a_module_cannot_hold_is_refused(kind: type[Op], change: dict[str, Any], text: str) -> None:
    """Values of a sign that are not +-1, a PReLU's other slope, another epsilon."""
    graph = graph_of(randomised(NETWORKS["binary"]()))
    first = next(node for node in graph.nodes if isinstance(node.op, kind))
    other = Node(first.name, replace(first.op, **change), first.inputs)
    with pytest.raises(BnnhwError) as error:
        restore(NETWORKS["binary"](), graph.with_nodes(other if n is first else n for n in graph.nodes), SHAPE)
    assert str(error.value).startswith(text)


def test_a_part_of_the_layers_is_refused() -> None:
    graph = graph_of(adabin())
    part = replace(graph, nodes=graph.nodes[:-1], output=graph.nodes[-2].name)
    with pytest.raises(BnnhwError) as error:
        restore(adabin(), part, SHAPE)
    assert str(error.value) == f"net must have {len(graph.nodes)} layers to begin with, not {len(graph.nodes) - 1}"


def test_a_training_begins_with_a_shipped_network(tmp_path: Path) -> None:
    shipped = models.load("snn_digits")
    restored = RECIPE.network()
    restore(restored, shipped, RECIPE.shape)
    held = sets.load("digits")
    mean, std = (np.broadcast_to(value, 1) for value in (shipped.input.op.mean, shipped.input.op.std))  # type: ignore[attr-defined]
    again = import_module(restored.eval(), RECIPE.shape, mean=mean.tolist(), std=std.tolist(), name="again")
    scores, wanted = (torch_exec.run(graph, held.images) for graph in (again, shipped))
    assert (scores.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.99

    graph = models.train("snn_digits", epochs=1, start="snn_digits")
    assert graph.meta["command"] == "bnnhw train snn_digits --start snn_digits --seed 1 --epochs 1"
    assert ", begun with snn_digits " in graph.meta["weights"]
    assert (torch_exec.run(graph, held.images).argmax(axis=1) == held.labels).mean() > 0.9
    save(shipped, tmp_path / "mine.bnn")
    same = models.train("snn_digits", epochs=1, start=tmp_path / "mine.bnn")
    assert same.meta["command"] == "bnnhw train snn_digits --start mine.bnn --seed 1 --epochs 1"

    with pytest.raises(BnnhwError, match="model must be one of .* not 'nothing'"):
        models.train("snn_digits", start="nothing")


def test_a_network_that_makes_its_graph_itself_is_refused() -> None:
    with pytest.raises(BnnhwError, match="PokeBnn must begin with the state of a training, not with a saved network"):
        restore(pokebnn_cifar(), models.load("pokebnn_cifar"), (32, 32, 3))
