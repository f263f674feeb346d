"""Pruning: planted copies of channels count once, noise counts for itself, and the budget is kept."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from bnnhw import models
from bnnhw.compiler.frontend import dwr
from bnnhw.compiler.frontend.dwr import Backbone, Vgg
from bnnhw.compiler.ir import interpret
from bnnhw.errors import BnnhwError
from bnnhw.models import feature_maps, prune
from bnnhw.models.pruning import EPS_CIFAR, EPS_IMAGENET, surviving

RNG_SEED = 3


def maps(groups: int, copies: int, others: int, noise: float = 0.0, seed: int = RNG_SEED) -> np.ndarray:
    """(N, H, W, C): ``groups`` patterns in ``copies`` channels each, of any positive scale, and ``others`` of their
    own, in random order; the patterns show in the mean over the images alone."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(groups + others, 7 * 7))
    chosen = [*np.repeat(np.arange(groups), copies), *range(groups, groups + others)]
    mean = patterns[rng.permutation(chosen)] * rng.uniform(0.2, 5, (len(chosen), 1))
    mean += noise * np.abs(mean).mean(axis=1, keepdims=True) * rng.normal(size=mean.shape)
    images = mean[None] + (shake := rng.normal(size=(2, *mean.shape)) * 10) - shake.mean(axis=0)
    return images.reshape(2, len(chosen), 7, 7).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("groups", "copies", "others", "left"),
    [(0, 0, 20, 20), (1, 5, 0, 1), (3, 8, 10, 13), (1, 40, 1, 2), (4, 5, 0, 4), (2, 4, 3, 11)],
)
def test_copies_count_once(groups: int, copies: int, others: int, left: int) -> None:
    """Five alike are a cluster; four are not."""
    assert surviving(maps(groups, copies, others)) == left
    assert surviving(maps(groups, copies, others, noise=0.02)) == left


def test_distance_is_of_directions() -> None:
    """Opposite maps are as far apart as can be; scale means nothing; near is nearer than eps."""
    one = maps(1, 6, 0)
    assert surviving(np.concatenate([one, -one], axis=3)) == 2
    assert surviving(np.concatenate([one, 100 * one], axis=3)) == 1
    loose = maps(1, 10, 0, noise=0.15)
    assert surviving(loose, eps=EPS_CIFAR) < surviving(loose, eps=EPS_IMAGENET) <= 10
    assert surviving(maps(1, 4, 0), min_samples=4) == 1
    assert surviving(np.zeros((2, 3, 3, 8))) == 8


def test_order_does_not_matter() -> None:
    whole = maps(3, 8, 10, noise=0.03)
    shuffled = whole[..., np.random.default_rng(1).permutation(whole.shape[3])]
    assert surviving(whole) == surviving(whole) == surviving(shuffled) == surviving(whole.astype(np.float32))


def test_widths_move_to_where_channels_differ() -> None:
    """Half of stage 2's channels are copies: it shrinks, the others grow, the budget is used and kept."""
    arch = Backbone((40, 80, 120), (2, 2, 2), 32, 32, "cifar_pairs", classes=10)
    found = prune(arch, [maps(0, 0, 40), maps(4, 11, 36), maps(0, 0, 120)], arch.binary_macs)
    assert found.depths == arch.depths
    assert found.widths[1] < 80
    assert min(found.widths[0] - 40, found.widths[2] - 120) > 0
    assert abs(found.widths[1] / found.widths[0] - 1) < 0.05
    assert 0.97 * arch.binary_macs < found.binary_macs <= arch.binary_macs
    same = prune(arch, [maps(0, 0, width) for width in arch.widths], arch.binary_macs)
    assert same == arch


def test_maps_of_a_network_itself() -> None:
    """The last convolution of each stage; filters that are copies of each other are found by what they compute."""
    arch = Backbone((24, 20), (2, 2), 8, 24, "cifar_pairs", classes=5)
    graph = dwr.untrained("x", arch)
    op = graph["layer2.1.conv"].op
    op.sign[4:12] = op.sign[4]  # eight alike
    images = np.random.default_rng(2).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    found = feature_maps(graph, arch, images)
    assert [part.shape for part in found] == [(40, 8, 8, 24), (40, 4, 4, 20)]
    np.testing.assert_array_equal(found[0], interpret.trace(graph, images)["layer1.1.conv"])
    assert [surviving(part) for part in found] == [24, 13]
    assert prune(arch, found, arch.binary_macs).widths[0] > 24


def test_a_vgg_keeps_its_last_convolution() -> None:
    arch = Vgg((12, 14, 10), (1, 2), 8, size=8, classes=5)
    graph = dwr.untrained("x", arch)
    images = np.random.default_rng(2).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    found = feature_maps(graph, arch, images)
    assert [part.shape[3] for part in found] == [12, 14]
    assert prune(arch, found, arch.binary_macs // 2).widths[-1] == 10
    with pytest.raises(BnnhwError) as error:
        feature_maps(graph, replace(arch, widths=(12, 10)), images)
    rule = "binary convolutions of the network must be 8 to 12, 12 to 10, as its backbone says"
    assert str(error.value) == f"{rule}, not 8 to 12, 12 to 14, 14 to 10"


def test_maps_of_a_trained_network() -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    found = feature_maps(models.load("dwr_r20"), dwr.ARCHS["dwr_r20_react"], images)
    assert [part.shape for part in found] == [(2, 32, 32, 30), (2, 16, 16, 86), (2, 8, 8, 154)]


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(*arguments: object, **options: object) -> str:
        with pytest.raises(BnnhwError) as error:
            prune(arch, *arguments, **options)  # type: ignore[arg-type]
        return str(error.value)

    arch = Backbone((8, 12), (1, 1), 16, 8, "cifar", classes=5)
    good = [maps(0, 0, 8), maps(0, 0, 12)]
    assert refusal(good[:1], 10**6) == "maps must be 2, one for each width, not 1"
    assert refusal(good[::-1], 10**6) == "maps[0] must have shape (N, H, W, 8), not (2, 7, 7, 12)"
    assert refusal(good, 10**6, eps=0) == "eps must be above 0, not 0"
    assert refusal(good, 10**6, min_samples=0) == "min_samples must be at least 1, not 0"
    assert refusal([good[0], good[1] * np.nan], 10**6) == "maps must be finite, not NaN or infinity"
    empty = "maps must have shape (N, H, W, channels) and at least one value, not (0, 7, 7, 8)"
    assert refusal([good[0][:0], good[1]], 10**6) == empty
    assert refusal(good, 10).startswith("budget must be at least ")
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    missing = "pruning needs scikit-learn, which is not installed: pip install scikit-learn"
    assert refusal(good, 10**6) == missing
