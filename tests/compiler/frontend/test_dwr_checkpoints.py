"""DWR checkpoints: keys as the official code writes them, and networks that compute what it computes from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.compiler.frontend import import_checkpoint, torch_exec
from bnnhw.compiler.frontend.dwr import ARCHS, Arch, Backbone, Vgg
from bnnhw.compiler.frontend.dwr.checkpoint import keys
from bnnhw.compiler.frontend.nodes import IMAGENET
from bnnhw.errors import FileFormatError

VGG_11 = ARCHS["dwr_vgg_11"]
assert isinstance(VGG_11, Vgg)
SMALL: dict[str, Arch] = {
    "dwr_r18_plain": Backbone((12, 18, 14), (2, 1, 1), 32, 8, classes=7),
    "dwr_r18_react": Backbone((11, 18, 14), (2, 1, 1), 32, 8, react=True, classes=7),
    "dwr_cifar_r18": Backbone((10, 14), (2, 4), 8, 6, "cifar_pairs", classes=7),
    "dwr_r20_plain": Backbone((6, 10, 14), (2, 2, 2), 16, 6, "cifar", aligned=8, classes=7),
    "dwr_r20_react": Backbone((8, 12, 14), (2, 2, 2), 16, 6, "cifar", react=True, aligned=8, classes=7),
    "dwr_vgg_small": Vgg((10, 12, 9, 16), (1, 3), 8, size=16, classes=7),
    "dwr_vgg_11": replace(VGG_11, widths=(10, 12, 9), pooled=(0, 1, 3), stem=8, hidden=24, size=8, classes=7),
}
State = dict[str, Tensor]


class Official:
    """The layers of the official code on the arrays of a state."""

    def __init__(self, state: State) -> None:
        self.s = {key: value.double() for key, value in state.items()}

    def norm(self, at: str, x: Tensor) -> Tensor:
        return F.batch_norm(x, *(self.s[f"{at}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def binary(self, key: str, x: Tensor, outs: int, stride: int = 1, scaled: bool = False) -> Tensor:
        weight = self.s[key].reshape(outs, x.shape[1], 3, 3)
        size = weight.abs().mean((1, 2, 3), keepdim=True) if scaled else 1
        return F.conv2d(torch.sign(x), size * torch.sign(weight), stride=stride, padding=1)

    def bend(self, move1: str, prelu: str, move2: str, x: Tensor, react: bool) -> Tensor:
        if react:
            x = x + self.s[f"{move1}.bias"]
        x = F.prelu(x, self.s[f"{prelu}.weight"])
        return x + self.s[f"{move2}.bias"] if react else x

    def photographs(self, x: Tensor, arch: Backbone) -> Tensor:
        x = self.norm("bn1", F.conv2d(x, self.s["conv1.weight"], stride=2, padding=3))
        x = F.max_pool2d(F.prelu(x, self.s["prelu.weight"]), 3, 2, 1)
        own = self.norm("alg.alg.1", F.conv2d(x, self.s["alg.alg.0.weight"], groups=x.shape[1]))
        x = F.prelu(torch.cat([own, x], dim=1)[:, : arch.widths[0]], self.s["alg.prelu.weight"])
        for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), 1):
            for block in range(depth):
                at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and not block else 1
                y = x + self.s[f"{at}move0.bias"] if arch.react else x
                key = f"{at}binary_conv.weight" if arch.react else f"{at}binary_conv.weights"
                y = self.norm(f"{at}bn1", self.binary(key, y, width, stride, arch.react))
                if stride == 2:
                    side = F.conv2d(F.avg_pool2d(x, 2), self.s[f"{at}downsample.1.weight"])
                    x = self.norm(f"{at}downsample.2", side)
                x = self.bend(f"{at}move1", f"{at}prelu", f"{at}move2", x + y, arch.react)
        return F.linear(self.norm("bn2", x.mean((2, 3))), self.s["fc.weight"], self.s["fc.bias"])

    def pairs(self, x: Tensor, arch: Backbone) -> Tensor:
        x = F.hardtanh(self.norm("bn1", F.conv2d(x, self.s["conv1.weight"], padding=1)))
        for stage, (width, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), 1):
            for block in range(depth // 2):
                at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and not block else 1
                y = F.hardtanh(self.norm(f"{at}bn1", self.binary(f"{at}conv1.weight", x, width, stride)))
                y = self.norm(f"{at}bn2", self.binary(f"{at}conv2.weight", y, width))
                if stride == 2 or x.shape[1] != width:
                    side = F.conv2d(x, self.s[f"{at}shortcut.0.weight"], stride=stride)
                    x = self.norm(f"{at}shortcut.1", side)
                x = F.hardtanh(x + y)
        return F.linear(self.norm("bn2", x.mean((2, 3))), self.s["linear.weight"], self.s["linear.bias"])

    def thin(self, x: Tensor, arch: Backbone) -> Tensor:
        x = F.hardtanh(self.norm("bn1", F.conv2d(x, self.s["conv1.weight"], padding=1)))
        for stage, width in enumerate(arch.widths, 1):
            for n in (1, 2):
                at, stride = f"layer{stage}.0.", 2 if stage > 1 and n == 1 else 1
                y = x + self.s[f"{at}s{n}0.bias"] if arch.react else x
                y = self.norm(f"{at}bn{n}", self.binary(f"{at}conv{n}.weight", y, width, stride))
                more = (width - x.shape[1]) // 2
                y = y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, more, more))
                names = (f"{at}s{n}1", f"{at}nonlinear{n}", f"{at}s{n}2")
                x = self.bend(*names, y, True) if arch.react else F.hardtanh(y)
        assert arch.aligned is not None
        x = F.hardtanh(self.norm("alg2.convalg.1", self.binary("alg2.convalg.0.weight", x, arch.aligned)))
        return F.linear(self.norm("bn2", x.mean((2, 3))), self.s["linear.weight"], self.s["linear.bias"])

    def vgg_small(self, x: Tensor, arch: Vgg) -> Tensor:
        x = F.hardtanh(self.norm("bn0", F.conv2d(x, self.s["conv0.weight"], padding=1)))
        for n, width in enumerate(arch.widths[:-1], 1):
            x = self.binary(f"conv{n}.weight", x, width)
            x = F.hardtanh(self.norm(f"bn{n}", F.max_pool2d(x, 2) if n in arch.pooled else x))
        x = F.hardtanh(self.norm("alg2.convalg.1", self.binary("alg2.convalg.0.weight", x, arch.widths[-1])))
        return F.linear(x.flatten(1), self.s["fc.weight"], self.s["fc.bias"])

    def vgg_11(self, x: Tensor, arch: Vgg) -> Tensor:
        x, at = F.conv2d(x, self.s["features.0.weight"], padding=1), 0
        for n, width in enumerate((0, *arch.widths)):
            if n:
                x = self.binary(f"features.{at}.weight", x, width)
            x, at = F.hardtanh(self.norm(f"features.{at + 1}", x)), at + 3
            if n in arch.pooled:
                x, at = F.max_pool2d(x, 2), at + 1
        x = x.flatten(1)
        for n in (1, 2):
            x = F.linear(x, self.s[f"fc{n}.0.weight"], self.s[f"fc{n}.0.bias"])
            x = F.hardtanh(self.norm(f"fc{n}.1", x))
        return F.linear(x, self.s["fc3.weight"], self.s["fc3.bias"])


OFFICIAL: dict[str, Callable[..., Tensor]] = {
    "dwr_r18_plain": Official.photographs,
    "dwr_r18_react": Official.photographs,
    "dwr_cifar_r18": Official.pairs,
    "dwr_r20_plain": Official.thin,
    "dwr_r20_react": Official.thin,
    "dwr_vgg_small": Official.vgg_small,
    "dwr_vgg_11": Official.vgg_11,
}


def random_state(arch: Arch) -> State:
    """Arrays of every key; batch-norm statistics of the size of a binary convolution's sums, some gammas negative."""
    rng, state, fan_in = np.random.default_rng(5), {}, 1
    for name, (key, shape) in keys(arch).items():
        node, part = name.rsplit(".", 1)
        value = rng.normal(0, 0.3, shape)
        if len(shape) > 1 and shape[0] > 1:
            value /= max(1, int(np.prod(shape[1:]))) ** 0.5 / 3
            summed = (
                key.endswith((".weights", "convalg.0.weight")) or ".conv" in key or key.startswith(("conv", "feat"))
            )
            fan_in = 60 if summed and node not in ("conv0", "conv1") else 1
        elif part == "running_var":
            value = rng.uniform(0.5, 1.5, shape) * fan_in
        elif part == "weight":
            value = rng.uniform(0.3, 0.9, shape) * rng.choice([-1, 1, 1, 1], shape)
        state[key] = torch.from_numpy(value.astype(np.float32))
    return state


def written(state: State, folder: Path) -> Path:
    """A file as the official training scripts write it."""
    full = {f"module.{key}": value for key, value in state.items()}
    full |= {key.replace("running_var", "num_batches_tracked"): torch.tensor(3) for key in full if "_var" in key}
    torch.save({"state_dict": full, "best_prec1": 81.5}, folder / "model.th")
    return folder / "model.th"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_scores_are_those_of_the_official_network(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arch = SMALL[name]
    monkeypatch.setitem(ARCHS, name, arch)
    state = random_state(arch)
    graph = import_checkpoint(written(state, tmp_path), name)
    images = np.random.default_rng(1).integers(0, 256, (5, arch.size, arch.size, 3), dtype=np.uint8)
    mean, std = (torch.tensor(constants).view(1, 3, 1, 1).double() for constants in IMAGENET)
    x = (torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255 - mean) / std
    wanted = OFFICIAL[name](Official(state), x, arch).numpy()
    np.testing.assert_allclose(torch_exec.run(graph, images, double=True), wanted, atol=1e-5)
    assert wanted.std(axis=0).min() > 1e-3
    assert graph.meta["weights"] == "imported from model.th"
    assert [line.split()[1:3] for line in graph.meta["notices"]] == [["keys", "num_batches_tracked"]]


@pytest.mark.parametrize(
    ("name", "count", "numbers"),
    [
        ("dwr_r18_plain", 81, 13_426_600),
        ("dwr_r18_react", 105, 15_165_286),
        ("dwr_cifar_r18", 71, 5_554_618),
        ("dwr_r20_plain", 46, 406_934),
        ("dwr_r20_react", 70, 529_388),
        ("dwr_vgg_small", 37, 6_935_866),
        ("dwr_vgg_11", 44, 27_605_058),
    ],
)
def test_keys_of_the_official_files(name: str, count: int, numbers: int) -> None:
    """Figures of the official code's modules: arrays of their state without counters, and numbers in them."""
    shapes = dict(keys(ARCHS[name]).values())
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes.values())) == (count, numbers)


def test_missing_and_foreign_keys_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ARCHS, "dwr_r20_plain", SMALL["dwr_r20_plain"])
    state = random_state(SMALL["dwr_r20_plain"])
    with pytest.raises(FileFormatError, match=r"'layer1\.0\.s10\.bias' is not one of its keys"):
        import_checkpoint(written(state | {"layer1.0.s10.bias": torch.zeros(6)}, tmp_path), "dwr_r20_plain")
    del state["alg2.convalg.0.weight"]
    with pytest.raises(FileFormatError, match=r"'alg2\.convalg\.0\.weight' is missing"):
        import_checkpoint(written(state, tmp_path), "dwr_r20_plain")
