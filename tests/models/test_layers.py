"""Torch layers: gradients that each paper lets through a sign, values of two-value activations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from bnnhw.models import layers
from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.estimators import annealed_sign, pass_sign, quadratic_sign
from bnnhw.models.layers import Kernel


def test_gradients_stop_at_one() -> None:
    layer = layers.BinaryConv2d(1, 1, 1)
    for value, passes in ((0.5, True), (1.5, False)):
        layer.weight.data.fill_(value)
        layer.weight.grad = None
        layer(torch.ones(1, 1, 1, 1)).backward()
        assert bool(layer.weight.grad.item()) == passes
    x = torch.tensor([-1.5, -0.5, 0.0, 0.25], requires_grad=True)
    layers.Sign()(x).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0, 1.5]


def test_adabin_values() -> None:
    layer = layers.AdaBinActivation()
    layer.alpha_a.data.fill_(0.5)
    layer.beta_a.data.fill_(0.25)
    assert layer(torch.tensor([0.0, 0.25, 1.0])).tolist() == [-0.375, 0.625, 0.625]
    layer.alpha_a.data.fill_(-0.5)
    assert layer(torch.tensor([0.0, 0.25, 1.0])).tolist() == [-0.625, 0.375, 0.375]


def slopes(function, at: list[float]) -> list[float]:
    x = torch.tensor(at, requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return [round(value, 6) for value in x.grad.tolist()]


def test_bounds_are_parameters() -> None:
    at = [-3.0, -1.5, -0.5, 0.0, 1.0, 2.0]
    assert slopes(lambda x: quadratic_sign(x, 2.0), at) == [0, 0.25, 0.75, 1.0, 0.5, 0]
    assert slopes(lambda x: pass_sign(x, 1.5), at) == [0, 1, 1, 1, 1, 0]
    assert slopes(layers.Sign(2.0), at) == [0, 0.25, 0.75, 1.0, 0.5, 0]
    rsign = layers.RSign(1, 2.0)
    rsign.bias.data.fill_(1.0)
    assert slopes(lambda x: rsign(x.view(1, 1, 1, -1)), [-1.0, 1.0]) == [1.0, 0]
    two = layers.AdaBinActivation(2.0)
    two.alpha_a.data.fill_(0.5)
    assert slopes(two, [0.0, 0.5, 1.0]) == [1.0, 0.5, 0]
    wide = layers.BinaryConv2d(1, 1, 1, clip=2.0)
    wide.weight.data.fill_(1.5)
    wide(torch.ones(1, 1, 1, 1)).backward()
    assert wide.weight.grad is not None
    assert wide.weight.grad.item() == 1.5


@pytest.mark.parametrize("bound", [0.5, 1.0, 3.0])
def test_quadratic_has_the_height_of_the_step(bound: float) -> None:
    x = torch.linspace(-4, 4, 8001, requires_grad=True)
    quadratic_sign(x, bound).sum().backward()
    assert x.grad is not None
    assert float(x.grad.sum() / 1000) == pytest.approx(2, rel=1e-3)


def test_annealed_gradient() -> None:
    """Everything passes at first; in the end it is the derivative of tanh(t x)."""
    at = [-1.0, -0.1, 0.0, 0.2]
    assert slopes(lambda x: annealed_sign(x, torch.tensor(1e-3)), at) == pytest.approx([1, 1, 1, 1], abs=1e-5)
    sharp = [10 * (1 - torch.tanh(torch.tensor(10 * x)).item() ** 2) for x in at]
    assert slopes(lambda x: annealed_sign(x, torch.tensor(10.0)), at) == pytest.approx(sharp, abs=1e-5)
    layer = layers.AdaBinConv2d(2, 2, sharpen=(0.5, 8.0))
    assert layer.sharpness == 0.5
    layer.pace(50, 100)
    assert layer.sharpness == pytest.approx(2.0)


@pytest.mark.parametrize("make", [layers.BinaryConv2d, CodebookConv2d])
def test_real_weights_in_the_first_step(make: Callable[[int, int], Kernel]) -> None:
    """They multiply as they are and all of them learn; afterwards the layer is binary as if nothing had been."""
    torch.manual_seed(1)
    layer, x = make(2, 3), torch.randn(1, 2, 4, 4)
    before = layer(x)
    layer.weight.data[0, 0, 0, 0] = 1.5
    binary = layer(x)
    layer.real = True
    found = layer(x)
    torch.testing.assert_close(found, F.conv2d(x, layer.weight, padding=1))
    found.square().sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.grad != 0).all()
    layer.real = False
    assert torch.equal(layer(x), binary)
    assert not torch.equal(before, binary)
