"""Reshaping: the budget is kept, shallower means wider, s = 1 changes nothing; the published naive widths."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.compiler.frontend.dwr import ORIGINALS, Backbone
from bnnhw.compiler.frontend.dwr.arch import Style
from bnnhw.errors import BnnhwError
from bnnhw.models import fit, reshape

R18, R20, VGG = ORIGINALS["r18"], ORIGINALS["r20"], ORIGINALS["vgg_small"]
assert isinstance(R18, Backbone)
assert isinstance(R20, Backbone)


@st.composite
def backbones(draw: st.DrawFn) -> Backbone:
    """Stages whose width doubles, two to twelve convolutions each."""
    style: Style = draw(st.sampled_from(["imagenet", "cifar_pairs", "cifar"]))
    stages, width = draw(st.integers(2, 4)), draw(st.integers(16, 80))
    span = 2 if style == "cifar_pairs" else 1
    depths = tuple(span * draw(st.integers(2, 12 // span)) for _ in range(stages))
    size = 224 if style == "imagenet" else 32
    return Backbone(tuple(width << stage for stage in range(stages)), depths, size, width, style, classes=10)


def factors(backbone: Backbone) -> st.SearchStrategy[float]:
    return st.floats(1, min(backbone.depths) // backbone.span)


@given(st.data())
def test_budget_is_kept(data: st.DataObject) -> None:
    """Never exceeded, and used but for what whole widths leave: one more channel everywhere would exceed it."""
    backbone = data.draw(backbones())
    found = reshape(backbone, data.draw(factors(backbone)))
    assert found.binary_macs <= backbone.binary_macs
    more = found.with_widths([width + max(1, width // found.widths[0]) for width in found.widths])
    assert found == backbone or more.binary_macs > backbone.binary_macs
    assert found.binary_macs > 0.9 * backbone.binary_macs


@given(st.data())
def test_deeper_cuts_are_wider(data: st.DataObject) -> None:
    backbone = data.draw(backbones())
    less, more = sorted((data.draw(factors(backbone)), data.draw(factors(backbone))))
    for naive in (False, True):
        first, second = reshape(backbone, less, naive=naive), reshape(backbone, more, naive=naive)
        assert all(a >= b for a, b in zip(first.depths, second.depths, strict=True))
        assert all(a <= b for a, b in zip(first.widths, second.widths, strict=True))
        assert all(a <= b for a, b in zip(backbone.widths, first.widths, strict=True))


@given(backbones())
def test_one_is_the_identity(backbone: Backbone) -> None:
    assert reshape(backbone, 1) == reshape(backbone, 1, naive=True) == backbone


def test_published_starting_points() -> None:
    """ResNet-18 by 2, whose naive widths are known; ResNet-20 by 3, with a convolution that keeps 64 channels."""
    naive = reshape(R18, 2, naive=True)
    assert (naive.widths, naive.depths, naive.aligned) == ((90, 181, 362, 724), (2, 2, 2, 2), None)
    third = reshape(R20, 3, naive=True)
    assert (third.widths, third.depths, third.aligned) == ((27, 55, 110), (2, 2, 2), 64)
    whole = reshape(R18, 2)
    assert (whole.widths, round(whole.binary_macs / R18.binary_macs, 3)) == ((95, 191, 383, 767), 0.997)


def test_activations_fall_by_the_root() -> None:
    """Twice and four times as deep a cut: about sqrt(2) and 2 times fewer values."""
    for s, low, high in ((2, 1.3, 1.45), (4, 1.6, 2.05)):
        assert low < R18.activations / reshape(R18, s).activations < high


def test_cuts_that_rounding_undoes() -> None:
    assert reshape(R20, 1.05) == R20
    assert reshape(R20, 1.05, naive=True).widths == (16, 32, 65)


@pytest.mark.parametrize("s", [0.5, 0, -1, 5, float("nan"), float("inf")])
def test_refused_factors(s: float) -> None:
    with pytest.raises(BnnhwError) as error:
        reshape(R18, s)
    assert str(error.value) == f"s must be in 1..4 for depths (4, 4, 4, 4) in steps of 1, not {s}"


def test_only_residual_networks() -> None:
    with pytest.raises(BnnhwError) as error:
        reshape(VGG, 2)  # type: ignore[arg-type]
    assert str(error.value) == "backbone must be a residual one (Backbone), not Vgg"
    pairs = replace(R18, style="cifar_pairs", size=32)
    with pytest.raises(BnnhwError, match=r"^s must be in 1\.\.2 for depths \(4, 4, 4, 4\) in steps of 2, not 3$"):
        reshape(pairs, 3)


def test_fit_keeps_interfaces() -> None:
    """The last convolution of a Vgg and an alignment stay; all others take what the budget leaves."""
    small = fit(VGG, VGG.binary_macs // 4)
    assert small.widths[-1] == VGG.widths[-1]
    assert 0.95 * VGG.binary_macs / 4 < small.binary_macs <= VGG.binary_macs / 4
    aligned = replace(R20, aligned=64)
    assert fit(aligned, 2 * aligned.binary_macs).aligned == 64
    with pytest.raises(BnnhwError) as error:
        fit(R18, 1000)
    least = R18.with_widths([1] * 4).binary_macs
    assert str(error.value) == f"budget must be at least {least} products, those of widths of 1, not 1000"
