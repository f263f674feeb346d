"""The catalogue: shipped networks load without torch, classify what they claim to, and unknown names are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnnhw import models
from bnnhw.compiler.frontend import adabin, torch_exec
from bnnhw.compiler.frontend.adabin import ARCHS
from bnnhw.compiler.ir import BinaryConv, Conv, interpret
from bnnhw.compiler.ir.file import save
from bnnhw.compiler.lower import lower
from bnnhw.errors import BnnhwError
from bnnhw.models import data
from bnnhw.sim import golden

NAMES = [
    "adabin_r18", "adabin_r18_cifar", "adabin_r20", "adabin_r34", "adabin_vgg", "bnn_r18", "bnn_r34", "dwr_cifar_r18",
    "dwr_r18_plain", "dwr_r18_react", "dwr_r20", "dwr_r20_plain", "dwr_r20_react", "dwr_vgg_11", "dwr_vgg_small",
    "dwr_vgg_small_sd", "ftbnn_r18", "ftbnn_r20", "ftbnn_r34", "pokebnn_0.5x", "pokebnn_0.75x", "pokebnn_1.25x",
    "pokebnn_1.5x", "pokebnn_1.75x", "pokebnn_1x", "pokebnn_2x", "pokebnn_cifar", "snn_digits", "snn_r18", "snn_r18_t4",
    "snn_r18_t6", "snn_r20", "snn_r34", "snn_vgg",
]  # fmt: skip


def test_names() -> None:
    assert models.names() == NAMES
    assert models.recipe_names() == [
        "adabin_r18_cifar", "adabin_r20", "adabin_vgg", "dwr_r20", "ftbnn_r20", "pokebnn_cifar", "real_r20",
        "snn_digits", "snn_r18", "snn_r20", "snn_vgg",
    ]  # fmt: skip


def test_unknown_name() -> None:
    with pytest.raises(BnnhwError) as error:
        models.load("resnet")
    assert str(error.value) == f"model must be one of {', '.join(NAMES)}, or the path of a .bnn file, not 'resnet'"
    with pytest.raises(BnnhwError, match="^no.bnn: "):
        models.load("no.bnn")


def test_info() -> None:
    digits = models.info(models.load("snn_digits"))
    assert digits.name == "snn_digits"
    assert (digits.cost.macs, digits.cost.ace, digits.cost.weight_bits) == (2083456, 3284992, 49536)
    assert digits.trained.startswith("trained on scikit-learn digits, 1347 images")
    assert digits.input == (8, 8, 1)
    ada = models.info(adabin.untrained("adabin_r20"), "other")
    binary, stem, head, stem_bits = 40108032, 442368, 640, ARCHS["adabin_r20"].stem_bits
    assert (ada.name, ada.cost.macs) == ("other", binary + stem + head)
    assert ada.cost.ace == binary + 8 * (stem_bits * stem + 8 * head)
    assert ada.cost.weight_bits == 267264 + stem_bits * 432 + 8 * 640
    assert (ada.trained, ada.input) == ("untrained", (32, 32, 3))


def test_file(tmp_path: Path) -> None:
    graph = models.load("adabin_r20")
    save(graph, tmp_path / "net.bnn")
    again = models.load(tmp_path / "net.bnn")
    images = np.zeros((1, 32, 32, 3), np.uint8)
    assert np.array_equal(interpret.run(graph, images), interpret.run(again, images))


def test_untrained_network_keeps_its_values_in_range() -> None:
    images = np.random.Generator(np.random.PCG64(2)).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    scores = interpret.run(adabin.untrained("adabin_r20"), images)
    assert 0.05 < np.abs(scores).max() < 20
    assert np.ptp(scores, axis=0).max() > 0.01


def test_shipped_digits() -> None:
    graph, held = models.load("snn_digits"), data.load("digits")
    scores = interpret.run(graph, held.images)
    assert (scores.argmax(axis=1) == held.labels).mean() >= 0.97
    assert (torch_exec.run(graph, held.images).argmax(axis=1) == scores.argmax(axis=1)).mean() >= 0.995
    assert (golden.run(lower(graph), held.images).argmax(axis=1) == held.labels).mean() >= 0.97
    assert set(graph.meta["ranges"]) == {node.name for node in graph.nodes}
    convs = [node.op for node in graph.nodes if isinstance(node.op, BinaryConv)]
    assert [op.words.shape for op in convs] == [(32, 9)] * 4
    assert all(len(np.unique(op.words, axis=0)) == 32 for op in convs)


def test_no_torch_is_needed() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from bnnhw import models\n"
        "from bnnhw.compiler.frontend import torch_exec, import_checkpoint\n"
        "print([models.load(name).meta['name'] for name in models.names()], torch_exec.available())\n"
        "from bnnhw.errors import BnnhwError\n"
        "for act in (lambda: models.train('snn_digits'), lambda: import_checkpoint(sys.executable, 'adabin_r20')):\n"
        "    try: act()\n"
        "    except BnnhwError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        f"{NAMES} False",
        "training needs torch: pip install 'bnnhw[torch]'",
        "importing a checkpoint needs torch: pip install 'bnnhw[torch]'",
    ]


@pytest.mark.parametrize(
    ("name", "macs", "bit_ops"),
    [
        ("bnn_r18", 1_676_279_808, 1_676_279_808),
        ("snn_r18_t6", 1_676_279_808, 883_900_416),
        ("snn_r18", 1_676_279_808, 501_358_592),
        ("snn_r18_t4", 1_676_279_808, 297_242_624),
        ("snn_r34", 3_525_967_872, 965_386_240),
        ("adabin_r20", 40_108_032, 40_108_032),
        ("adabin_r18_cifar", 547_356_672, 547_356_672),
        ("adabin_r18", 1_676_279_808, 1_676_279_808),
        ("adabin_r34", 3_525_967_872, 3_525_967_872),
    ],
)
def test_published_products(name: str, macs: int, bit_ops: int) -> None:
    cost = models.info(models.load(name)).cost
    assert (cost.binary_macs, cost.bit_ops) == (macs, bit_ops)


def test_operations_of_adabin() -> None:
    """OPs = products of bits / 64 + those of numbers: 1.640e8 and 1.929e8 on ImageNet; weights of VGG-small."""
    big = {name: models.info(models.load(name)).cost for name in ("adabin_r18", "adabin_r34")}
    assert [cost.macs - cost.binary_macs for cost in big.values()] == [137_793_536] * 2
    assert [round(cost.ops / 1e8, 3) for cost in big.values()] == [1.640, 1.929]
    cifar = models.info(models.load("adabin_r18_cifar")).cost
    assert (cifar.macs - cifar.binary_macs, cifar.binary_weights) == (8_066_048, 10_985_472)
    vgg, sub_bit = (models.info(models.load(f"{name}_vgg")).cost for name in ("adabin", "snn"))
    assert vgg.binary_weights == sub_bit.binary_weights == 9 * (128 * 128 + 128 * 256 + 256**2 + 256 * 512 + 512**2)
    assert vgg.weight_bits - sub_bit.weight_bits == 4 * vgg.binary_weights // 9 - 5 * 9 * 32


def test_real_layers_at_the_price_of_the_paper() -> None:
    """Of a plain binary ResNet-18: 1.676 G products of bits and 137.8 M in floating point."""
    cost = models.info(models.load("bnn_r18")).cost
    real = cost.macs - cost.binary_macs
    assert (cost.ace_paper, cost.ops) == (cost.binary_macs + 256 * real, cost.binary_macs / 64 + real)
    assert round(real / 1e6, 2) == 137.79
    poke = models.info(models.load("pokebnn_0.5x")).cost
    assert poke.ace_paper == poke.ace


def test_ace_as_the_engine_runs_it() -> None:
    """PokeInit's first convolution, 3 to 32 channels of 4x4 taps on 56x56 pixels and 8 bits each, runs twice."""
    graph = models.load("pokebnn_0.5x")
    cost = models.info(graph).cost
    more = max(node.op.weight.size for node in graph.nodes[:4] if isinstance(node.op, Conv)) * 56 * 56 * 8 * 8
    assert cost.ace_engine - cost.ace == more == 308_281_344
    assert models.info(models.load("adabin_r20")).cost.ace_engine == 68_460_544
