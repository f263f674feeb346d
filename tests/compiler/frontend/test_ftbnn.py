"""FTBNN's family: the same networks as the torch definition's, for every kind and place of the non-linearity."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, get_args

import pytest

from bnnhw import models
from bnnhw.compiler.frontend import ftbnn
from bnnhw.compiler.frontend.ftbnn import Arch, Kind, Place
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import BinaryConv, Flatten, Graph
from bnnhw.errors import BnnhwError
from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes import ftbnn_r20
from bnnhw.models.resnet import Bend, ResNet

SMALL = Arch((8, 16), (2, 2), group=4, size=32, classes=10)


def structure(graph: Graph) -> Any:
    """Kinds of operations from the scores back to the image, with the shapes of their maps."""
    by_name, shapes = {node.name: node for node in graph.nodes}, graph.shapes()

    def behind(name: str) -> Any:
        node = by_name[name]
        if isinstance(node.op, Flatten):
            return behind(node.inputs[0])
        return node.op.kind, tuple(shapes[name]), *sorted(map(behind, node.inputs), key=repr)

    return behind(graph.output)


def grouped(arch: Arch, channels_in: int, channels_out: int, *, stride: int) -> BinaryConv2d:
    return BinaryConv2d(channels_in, channels_out, stride=stride, groups=arch.groups(channels_in, channels_out))


@pytest.mark.parametrize("photographs", [True, False])
@pytest.mark.parametrize("place", get_args(Place))
@pytest.mark.parametrize("kind", get_args(Kind))
def test_as_the_torch_definition(kind: Kind, place: Place, photographs: bool) -> None:
    arch = replace(SMALL, kind=kind, place=place, photographs=photographs)
    network = ResNet(
        3, arch.widths[0], arch.widths, arch.blocks, partial(grouped, arch), bend=Bend(kind, place),
        photographs=photographs,
    )  # fmt: skip
    traced = import_module(network.eval(), (32, 32, 3), mean=[0.5] * 3, std=[0.5] * 3, name="x")
    ours = ftbnn.untrained("x", arch)
    assert structure(ours) == structure(traced)
    groups = [[node.op.groups for node in g.nodes if isinstance(node.op, BinaryConv)] for g in (ours, traced)]
    assert groups[0] == groups[1] == [2, 2, 1, 4]


def test_another_kind_or_place_is_another_network() -> None:
    kinds = [(kind, place) for kind in get_args(Kind) if kind != "none" for place in get_args(Place)]
    found = [structure(ftbnn.untrained("x", replace(SMALL, kind=kind, place=place))) for kind, place in kinds]
    assert len({repr(one) for one in found}) == 6  # prelu and two_slope differ by their slopes alone


def test_costs_as_the_trained_network() -> None:
    ours = models.info(ftbnn.untrained("x", ftbnn_r20.ARCH))
    assert ours.cost == models.info(models.load("ftbnn_r20")).cost


@pytest.mark.parametrize("group", [0, 3, 16])
def test_group_that_does_not_divide(group: int) -> None:
    with pytest.raises(BnnhwError) as error:
        replace(SMALL, group=group)
    assert str(error.value) == f"group must divide all widths (8, 16), not be {group}"
