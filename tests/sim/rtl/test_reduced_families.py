"""AdaBin's, FTBNN's and DWR's smaller forms with a smaller image and fewer channels: golden model, machine and circuit
give the same, in the cycles that were predicted."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("torch")

import torch

from bnnhw.compiler.frontend import adabin, dwr
from bnnhw.compiler.frontend.dwr import Backbone, Vgg
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.models.layers import BinaryConv2d
from bnnhw.models.recipes.cifar import MEAN, STD
from bnnhw.models.resnet import Bend, ResNet
from tests.sim.rtl import reduced

SIDE = reduced.SIZE
PHOTOGRAPHS = partial(adabin.Arch, (16, 24, 32), (1, 1, 1), "pool", True, SIDE, 20, 8, 9, 18)


def grouped() -> Graph:
    """Two groups of eight channels, then four: FTBNN's blocks with the two-slope function."""

    def convolution(channels_in: int, channels_out: int, *, stride: int) -> BinaryConv2d:
        return BinaryConv2d(channels_in, channels_out, stride=stride, groups=channels_in // 8)

    torch.manual_seed(3)
    network = ResNet(3, 16, (16, 32), (2, 2), convolution, bend=Bend("two_slope")).eval()
    return import_module(network, (SIDE, SIDE, 3), mean=MEAN, std=STD, name="ftbnn reduced")


FAMILIES = {
    "adabin": lambda: adabin.untrained("x", adabin.Arch((8, 16), (2, 1), size=SIDE)),
    "adabin of photographs": lambda: adabin.untrained("x", PHOTOGRAPHS()),
    "ftbnn": grouped,
    "dwr, shortcuts without weights": lambda: dwr.untrained(
        "x", Backbone((8, 22, 38), (2, 2, 2), SIDE, 8, "cifar", react=True, aligned=16, classes=10)
    ),
    "dwr, shortcuts around two": lambda: dwr.untrained(
        "x", Backbone((12, 22, 30), (2, 2, 2), SIDE, 8, "cifar_pairs", classes=10)
    ),
    "dwr, vgg": lambda: dwr.untrained("x", Vgg((10, 14, 18, 20), (0, 1, 2, 3), 8, size=SIDE)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_reduced_network(name: str) -> None:
    found = make_plan(analyse(lower(FAMILIES[name]())), Shape(4, 8, 16, 4, 4))
    result = reduced.simulated(found, len(found.cost.frames) + 1)
    assert tuple(result.cycles) == (*found.cost.frames, found.cost.frame)
