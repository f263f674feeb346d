"""DWR's backbones: the cost of each as its shapes give it, blocks as published, reduced ones bit-exact on the machine.

Expected figures are those that the shapes of the official code give at its stem and shortcuts, millions to the digits
told, an alignment's factors counted once a pixel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnnhw import models
from bnnhw.compiler.frontend import dwr, torch_exec
from bnnhw.compiler.frontend.dwr import ARCHS, ORIGINALS, Arch, Backbone, Vgg
from bnnhw.compiler.ir import (
    AvgPool,
    BatchNorm,
    Binarize,
    BinaryConv,
    Clamp,
    Conv,
    Graph,
    MaxPool,
    Shortcut,
    interpret,
)
from bnnhw.compiler.losses import layer_costs
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape, plan
from bnnhw.errors import BnnhwError
from bnnhw.models.reshape import reshape
from bnnhw.sim import golden, machine

R18 = ORIGINALS["r18"]
assert isinstance(R18, Backbone)
COSTS: list[tuple[str, Arch, tuple[float, ...]]] = [
    ("r18", R18, (1676.28, 137.79, 163.99, 10.985, 0.693, 1.505)),
    ("r18_naive", reshape(R18, 2, naive=True), (1496.82, 157.39, 180.78, 9.433, 1.077, 1.061)),
    ("dwr_r18_plain", ARCHS["dwr_r18_plain"], (1672.33, 160.21, 186.34, 12.118, 1.282, 1.099)),
    ("dwr_r18_react", ARCHS["dwr_r18_react"], (2120.70, 169.45, 202.58, 13.740, 1.389, 1.271)),
    ("cifar_r18", ORIGINALS["cifar_r18"], (547.36, 8.07, 16.62, 10.985, 0.179, 0.492)),
    ("dwr_cifar_r18", ARCHS["dwr_cifar_r18"], (513.27, 22.70, 30.72, 5.302, 0.238, 0.411)),
    ("r20", ORIGINALS["r20"], (40.11, 0.44, 1.07, 0.267, 0.001, 0.172)),
    ("dwr_r20_plain", ARCHS["dwr_r20_plain"], (42.91, 0.44, 1.11, 0.403, 0.001, 0.094)),
    ("dwr_r20_react", ARCHS["dwr_r20_react"], (62.67, 0.44, 1.42, 0.524, 0.001, 0.129)),
    ("vgg_small", ORIGINALS["vgg_small"], (603.98, 3.62, 13.06, 4.571, 0.085, 0.328)),
    ("dwr_vgg_small", ARCHS["dwr_vgg_small"], (599.46, 3.62, 12.99, 6.841, 0.085, 0.312)),
    ("dwr_vgg_small_sd", ARCHS["dwr_vgg_small_sd"], (603.98, 3.62, 13.06, 6.382, 0.085, 0.327)),
    ("vgg_11", ORIGINALS["vgg_11"], (150.99, 20.68, 23.04, 9.216, 18.917, 0.086)),
    ("dwr_vgg_11", ARCHS["dwr_vgg_11"], (121.24, 20.68, 22.58, 8.638, 18.917, 0.079)),
]
"""Name, backbone; millions of products of bits, real products, OPs, binary weights, real weights, activations."""

SMALL: dict[str, Arch] = {
    "r18_plain": Backbone((12, 18, 14), (2, 1, 1), 32, 8, classes=7),
    "r18_react": Backbone((11, 18, 14), (2, 1, 1), 32, 8, react=True, classes=7),
    "r18_narrow": Backbone((6, 10), (1, 1), 16, 8, classes=7),
    "cifar_r18": Backbone((10, 14), (2, 2), 8, 6, "cifar_pairs", classes=7),
    "r20_plain": Backbone((6, 11, 13), (2, 2, 1), 16, 6, "cifar", aligned=8, classes=7),
    "r20_react": Backbone((8, 11, 13), (2, 2, 1), 16, 6, "cifar", react=True, aligned=8, classes=7),
    "vgg_small": Vgg((10, 12, 9, 16), (1, 3), 8, size=16, classes=7),
    "vgg_11": Vgg((10, 12, 9), (0, 1, 3), 8, 24, late=True, size=16, classes=7),
}


def pixels(count: int, size: int) -> np.ndarray:
    """Smooth random images."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (count, size // 4, size // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


def real_weights(graph: Graph) -> int:
    """Weights of real layers; a convolution that only passes channels on has one factor a channel scaled."""
    counted = graph.meta.get("counted", {})
    shapes = graph.shapes()
    convs = [node for node in graph.nodes if isinstance(node.op, Conv)]
    own = sum(node.op.weight.size for node in convs if isinstance(node.op, Conv) and node.name not in counted)
    return own + sum(count // (shapes[name][1] * shapes[name][2]) for name, count in counted.items())


@pytest.mark.parametrize(("name", "arch", "figures"), COSTS, ids=[name for name, *_ in COSTS])
def test_cost_of_the_published_networks(name: str, arch: Arch, figures: tuple[float, ...]) -> None:
    graph = dwr.untrained(name, arch)
    cost = models.info(graph).cost
    assert (cost.binary_macs, cost.binary_weights) == (arch.binary_macs, arch.binary_weights)
    real = cost.ops - cost.binary_macs / 64
    found = (cost.binary_macs, real, cost.ops, cost.binary_weights, real_weights(graph), arch.activations)
    digits = (2, 2, 2, 3, 3, 3)
    assert tuple(round(value / 1e6, n) for value, n in zip(found, digits, strict=True)) == figures


def test_the_catalogue_has_them() -> None:
    assert set(ARCHS) <= set(models.names())
    info = models.info(models.load("dwr_r20_react"))
    assert (info.name, info.trained, info.input) == ("dwr_r20_react", "untrained", (32, 32, 3))
    assert info.paper == "DWR, AAAI 2023, doi 10.1609/aaai.v37i9.26268"
    assert info.cost.ace_paper == info.cost.binary_macs + 256 * (info.cost.macs - info.cost.binary_macs)


def test_the_recipe_is_the_one_of_that_name() -> None:
    """dwr_r20 trains dwr_r20_react: the same products, convolution by convolution."""
    from bnnhw.models.layers import BinaryConv2d
    from bnnhw.models.recipes.dwr_r20 import dwr_r20

    mine = [tuple(m.weight.shape[:2]) for m in dwr_r20().modules() if isinstance(m, BinaryConv2d)]
    assert mine == [(layer.outs, layer.ins) for layer in ARCHS["dwr_r20_react"].layers()]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_reduced_networks_run_bit_exactly(name: str) -> None:
    """Torch and NumPy agree; the integer network's bits are the float network's but for those near a threshold; the
    machine gives exactly the integer scores."""
    arch = SMALL[name]
    graph, images = dwr.untrained(name, arch), pixels(6, arch.size)
    wanted = interpret.trace(graph, images)
    scores = wanted[graph.output][:, 0, 0]
    np.testing.assert_allclose(scores, torch_exec.run(graph, images, double=True), rtol=1e-3, atol=1e-3)
    assert 0.05 < np.abs(scores).max() < 20
    assert scores.std(axis=0).min() > 1e-3
    network = lower(graph)
    found = golden.trace(network, images)
    bits = [layer.post.publish.bits for layer in network.layers if layer.post.publish.bits is not None]
    agreement = [float(((found[bit] > 0) == (wanted[bit] > 0)).mean()) for bit in bits]
    assert len(agreement) == len(arch.layers())
    assert min(agreement[:2]) > 0.9
    made = plan(network, shape=Shape(3, 4, 8, 4, 4))
    assert (machine.run(made, images) == golden.run(network, images)).all()


def test_odd_widths_lose_little_to_depth_padding() -> None:
    """Words of depth go on with the next tap's channels: 78 and 134 of them fill an array of depth 32."""
    network = lower(dwr.untrained("dwr_r20_plain"))
    made = plan(network, shape=Shape(8, 16, 32, 16, 16))
    lost = {}
    for cost in layer_costs(network, made.engine, made.cost, made.layer_of_job):
        steps = cost.ideal + sum(cost.losses[name] for name in ("rows", "columns", "depth"))
        lost[cost.name] = float(cost.losses["depth"] / steps) if steps else 0.0
    odd = ("layer2.1.conv", "layer3.0.conv", "layer3.1.conv", "align.conv")
    assert [round(lost[name], 3) for name in odd] == [0.046, 0.046, 0.081, 0.081]


def test_bits_of_untrained_networks_are_mixed() -> None:
    """Statistics fit the weights: no map of bits is nearly all of one kind."""
    for name, arch in SMALL.items():
        graph = dwr.untrained(name, arch)
        values = interpret.trace(graph, pixels(6, arch.size))
        shares = [float((values[n.name] > 0).mean()) for n in graph.nodes if isinstance(n.op, Binarize)]
        assert 0.15 < min(shares) <= max(shares) < 0.9, name


def test_same_seed_same_weights() -> None:
    def signs(seed: int) -> np.ndarray:
        graph = dwr.untrained("x", SMALL["cifar_r18"], seed)
        return np.concatenate([n.op.sign.ravel() for n in graph.nodes if isinstance(n.op, BinaryConv)])

    assert (signs(1) == signs(1)).all()
    assert (signs(1) != signs(2)).mean() > 0.4


def test_stem_of_imagenet_is_aligned() -> None:
    """Scaled channels first, then as many as they were as there is room for."""
    graph = dwr.untrained("x", SMALL["r18_plain"])
    weight, norm = graph["align_stem.conv"].op, graph["align_stem.bn"].op
    assert isinstance(weight, Conv)
    assert isinstance(norm, BatchNorm)
    kernel = weight.weight[:, :, 0, 0]
    assert [row.nonzero()[0].tolist() for row in kernel] == [[c] for c in [*range(8), *range(4)]]
    assert (kernel[8:].max(axis=1) == 1).all()
    values = interpret.trace(graph, pixels(2, 32))
    assert np.abs(values["align_stem.bn"][..., 8:] - values["maxpool"][..., :4]).max() < 1e-6
    assert (graph.meta["counted"], graph.meta["widths"]["value"]) == ({"align_stem.conv": 8 * 8 * 8}, 9)
    assert "align_stem.conv" not in {n.name for n in dwr.untrained("x", Backbone((8,), (1,), 32, 8)).nodes}


def test_blocks_of_each_style() -> None:
    def kinds(name: str) -> dict[str, int]:
        ops = [node.op for node in dwr.untrained(name, SMALL[name]).nodes]
        return {kind.__name__: sum(isinstance(op, kind) for op in ops) for kind in (Conv, AvgPool, Shortcut, Clamp)}

    assert kinds("r18_plain") == {"Conv": 5, "AvgPool": 2, "Shortcut": 0, "Clamp": 0}
    assert kinds("cifar_r18") == {"Conv": 4, "AvgPool": 0, "Shortcut": 0, "Clamp": 5}
    assert kinds("r20_plain") == {"Conv": 2, "AvgPool": 0, "Shortcut": 2, "Clamp": 7}
    assert kinds("r20_react") == {"Conv": 2, "AvgPool": 0, "Shortcut": 3, "Clamp": 2}
    graph = dwr.untrained("dwr_r20_plain")
    sides = [node.op.scalars() for node in graph.nodes if isinstance(node.op, Shortcut)]
    assert [(s["channels_before"], s["channels_after"]) for s in sides] == [(31, 31), (28, 28)]
    vgg = dwr.untrained("x", SMALL["vgg_small"])
    pooled = [node.inputs[0] for node in vgg.nodes if isinstance(node.op, MaxPool)]
    assert pooled == ["conv1.conv", "conv3.conv"]
    late = dwr.untrained("x", SMALL["vgg_11"])
    assert [n.inputs[0] for n in late.nodes if isinstance(n.op, MaxPool)] == ["conv0.tanh", "conv1.tanh", "conv3.tanh"]
    assert [late[f"hidden2{part}"].op.kind for part in ("", ".bn", ".tanh")] == ["Conv", "BatchNorm", "Clamp"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (8,)}, "widths and depths must have one number a stage each, not 1 and 3"),
        ({"widths": (8, 0, 9)}, "widths must be at least 1, not 0"),
        ({"depths": (1, 0, 1)}, "depths must be at least 1, not 0"),
        ({"aligned": 0}, "aligned must be at least 1, not 0"),
        ({"style": "cifar_pairs", "depths": (2, 3, 2)},
         "depths must be multiples of 2 for style cifar_pairs, not (2, 3, 2)"),
        ({"size": 40}, "size must be a multiple of 16 for 3 stages, not 40"),
    ],
)  # fmt: skip
def test_refused(changes: dict[str, object], message: str) -> None:
    whole = Backbone((12, 18, 14), (2, 1, 1), 32, 8)
    with pytest.raises(BnnhwError) as error:
        replace(whole, **changes)  # type: ignore[arg-type]
    assert str(error.value) == message


def test_channels_that_a_shortcut_cannot_take_away() -> None:
    with pytest.raises(BnnhwError) as error:
        dwr.untrained("x", Backbone((6, 11, 9), (1, 1, 1), 16, 6, "cifar"))
    rule = "channels must not decrease where shortcuts have no weights"
    assert str(error.value) == f"{rule}, not [6, 6, 11, 9]"
    with pytest.raises(BnnhwError, match="must keep a pixel"):
        Vgg((8, 8), (0, 1, 2), 8, size=4)
