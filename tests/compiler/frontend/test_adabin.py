"""AdaBin checkpoints of every form: keys as the official code writes them, scores as it computes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnnhw.compiler.frontend import adabin, import_checkpoint, torch_exec
from bnnhw.compiler.frontend.nodes import IMAGENET
from bnnhw.errors import FileFormatError
from bnnhw.models.recipes import adabin_r18_cifar, adabin_r20

SMALL = {"widths": (8, 12), "blocks": (2, 1), "size": 32}
State = dict[str, torch.Tensor]


def unused(arch: adabin.Arch) -> State:
    """What the official ImageNet networks hold and never read, besides the counters."""
    if not arch.photographs:
        return {}
    last = {f"nonlinear2.{part}": torch.ones(arch.widths[-1]) for part in adabin.SLOPES}
    norm = ("weight", "bias", "running_mean", "running_var")
    return last | {f"bn3.{part}": torch.ones(arch.classes) for part in norm}


def whole(arch: adabin.Arch) -> State:
    """All keys of an official file, random."""
    state = {key: torch.from_numpy(value.copy()) for key, value in adabin.random_state(arch.shapes(), 3).items()}
    state |= unused(arch)
    return state | {k.replace("running_var", "num_batches_tracked"): torch.tensor(3) for k in state if "_var" in k}


@pytest.mark.parametrize(
    ("name", "entries", "parameters"),
    [
        ("adabin_r20", 195, 271_262),
        ("adabin_r18_cifar", 193, 11_182_826),
        ("adabin_r18", 200, 11_701_400),
        ("adabin_r34", 360, 21_817_016),
    ],
)
def test_keys_of_the_official_files(name: str, entries: int, parameters: int) -> None:
    state = whole(adabin.ARCHS[name])
    assert len(state) == entries
    learned = [value for key, value in state.items() if not key.endswith(("_mean", "_var", "_tracked"))]
    assert sum(value.numel() for value in learned) == parameters


@pytest.mark.parametrize("recipe", [adabin_r20, adabin_r18_cifar])
def test_recipes_have_the_official_keys(recipe: Any) -> None:
    trained = recipe.RECIPE.network().state_dict()
    official = whole(adabin.ARCHS[recipe.RECIPE.name])
    assert {key: value.shape for key, value in trained.items()} == {key: v.shape for key, v in official.items()}


def official_scores(state: State, arch: adabin.Arch, images: np.ndarray) -> np.ndarray:
    """The network as the official code computes it."""
    s = {key: value.double() for key, value in state.items()}
    mean, std = (torch.tensor(constants, dtype=torch.float64).view(1, 3, 1, 1) for constants in IMAGENET)
    x = (torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255 - mean) / std

    def norm(at: str, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, *(s[f"{at}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def maxout(at: str, x: torch.Tensor) -> torch.Tensor:
        pos, neg = (s[f"{at}.{part}"].view(-1, 1, 1) for part in ("pos_scale", "neg_scale"))
        return pos * x.clamp(min=0) - neg * (-x).clamp(min=0)

    def conv(at: str, x: torch.Tensor, stride: int) -> torch.Tensor:
        alpha, beta, weight = (s[f"{at}.{part}"] for part in ("binary_a.alpha_a", "binary_a.beta_a", "weight"))
        x = alpha * (torch.sign((x - beta) / alpha) + beta)
        middle = weight.mean((1, 2, 3), keepdim=True)
        spread = ((weight - middle) ** 2).mean((1, 2, 3), keepdim=True).sqrt()
        return F.conv2d(x, spread * torch.sign((weight - middle) / spread) + middle, stride=stride, padding=1)

    def shortcut(at: str, x: torch.Tensor) -> torch.Tensor:
        if arch.shortcut == "thin":
            side = (arch.widths[1] - arch.widths[0]) // 2
            return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
        if arch.shortcut == "conv":
            return norm(f"{at}shortcut.1", F.conv2d(x, s[f"{at}shortcut.0.weight"], stride=2))
        x = F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        return norm(f"{at}downsample.2", F.conv2d(x, s[f"{at}downsample.1.weight"]))

    stem = {"stride": 2, "padding": 3} if arch.photographs else {"padding": 1}
    x = maxout("nonlinear1", norm("bn1", F.conv2d(x, s["conv1.weight"], **stem)))
    x = F.max_pool2d(x, 3, 2, 1) if arch.photographs else x
    for stage, count in enumerate(arch.blocks, 1):
        for block in range(count):
            at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            side = shortcut(at, x) if stride == 2 else x
            x = maxout(f"{at}nonlinear1", norm(f"{at}bn1", conv(f"{at}conv1", x, stride)) + side)
            x = maxout(f"{at}nonlinear2", norm(f"{at}bn2", conv(f"{at}conv2", x, 1)) + x)
    x = norm("bn2", x.mean((2, 3)))
    return F.linear(x, s[f"{arch.head}.weight"], s[f"{arch.head}.bias"]).numpy()


def saved(folder: Path, state: State) -> Path:
    """A file as the official ImageNet script writes it."""
    path = folder / "model_best.pth.tar"
    keys = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 120, "state_dict": keys, "acc": 63.0, "best_acc": 63.1, "optimizer": {"state": {}}}, path)
    return path


@pytest.mark.parametrize("name", sorted(adabin.ARCHS))
def test_scores_are_those_of_the_official_network(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arch = replace(adabin.ARCHS[name], **SMALL)
    monkeypatch.setitem(adabin.ARCHS, name, arch)
    state = whole(arch)
    graph = import_checkpoint(saved(tmp_path, state), name)
    images = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    scores = torch_exec.run(graph, images, double=True)
    np.testing.assert_allclose(scores, official_scores(state, arch, images), atol=1e-4)
    assert np.ptp(scores, axis=0).max() > 0.01
    norms = 2 * sum(arch.blocks) + 2 + (arch.shortcut != "thin") + arch.photographs
    notices = [f"{norms} keys num_batches_tracked are not needed and were left out"]
    if arch.photographs:
        notices.append("6 keys bn3, nonlinear2 are not needed and were left out")
    assert graph.meta["notices"] == notices
    assert (graph.meta["name"], graph.meta["weights"]) == (name, "imported from model_best.pth.tar")


def test_keys_of_another_form_are_refused(tmp_path: Path) -> None:
    """What an ImageNet file may hold beside its network, a CIFAR one may not."""

    def refusal(name: str, state: State) -> str:
        path = saved(tmp_path, state)
        with pytest.raises(FileFormatError) as error:
            import_checkpoint(path, name)
        return str(error.value).replace(str(path), "FILE")

    state = whole(adabin.ARCHS["adabin_r20"])
    assert refusal("adabin_r20", state | {"bn3.bias": torch.ones(10)}) == (
        "checkpoint FILE is not of arch adabin_r20: 'bn3.bias' is not one of its keys"
    )
    assert refusal("adabin_r18_cifar", state) == (
        "checkpoint FILE is not of arch adabin_r18_cifar: 'layer2.0.shortcut.0.weight' is missing (and 50 more)"
    )
    state = whole(adabin.ARCHS["adabin_r18"])
    del state["layer2.0.downsample.1.weight"]
    assert refusal("adabin_r18", state) == (
        "checkpoint FILE is not of arch adabin_r18: 'layer2.0.downsample.1.weight' is missing"
    )
