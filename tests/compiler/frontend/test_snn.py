"""SNN checkpoints: keys as the official code writes them, kernels as it chooses them, and notices of what is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnnhw.compiler.frontend import import_checkpoint, snn, torch_exec
from bnnhw.compiler.frontend.nodes import IMAGENET
from bnnhw.compiler.ir import BinaryConv
from bnnhw.errors import FileFormatError

SMALL = snn.Arch(blocks=(1, 2), widths=(8, 12), tau=4, size=32, classes=7)
State = dict[str, torch.Tensor]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[State], Path]:
    """Makes ``snn_r18`` a small network, and writes a state as the official training script does."""
    monkeypatch.setitem(snn.ARCHS, "snn_r18", SMALL)

    def save(state: State) -> Path:
        full = {f"module.{key}": value for key, value in state.items()}
        full |= {key.replace("running_var", "num_batches_tracked"): torch.tensor(3) for key in full if "_var" in key}
        path = tmp_path / "model_best.pth.tar"
        torch.save({"epoch": 256, "state_dict": full, "best_top1_acc": 62.1, "optimizer": {"state": {}}}, path)
        return path

    return save


def random_state(arch: snn.Arch = SMALL) -> State:
    return {key: torch.from_numpy(value.copy()) for key, value in snn.random_state(arch.shapes(), 3).items()}


def official_scores(state: State, arch: snn.Arch, images: np.ndarray) -> np.ndarray:
    """The network as the official code computes it: nearest codeword by distance, one block after the other."""
    s = {key: value.double() for key, value in state.items()}
    mean, std = (torch.tensor(constants, dtype=torch.float64).view(1, 3, 1, 1) for constants in IMAGENET)
    x = (torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255 - mean) / std

    def norm(at: str, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, *(s[f"{at}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    x = F.max_pool2d(norm("bn1", F.conv2d(x, s["conv1.weight"], stride=2, padding=3)), 3, 2, 1)
    for stage, count in enumerate(arch.blocks, 1):
        for block in range(count):
            at = f"layer{stage}.{block}."
            weight, words = s[f"{at}binary_conv.weight"], torch.sign(s[f"{at}binary_conv.binarize.patterns"])
            nearest = torch.cdist(weight.reshape(-1, 9), words).argmin(dim=1)
            kernels = words[nearest].reshape(weight.shape) * weight.abs().mean((1, 2, 3), keepdim=True)
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm(f"{at}bn1", F.conv2d(torch.sign(x + s[f"{at}move0.bias"]), kernels, stride=stride, padding=1))
            if stride == 2:
                x = norm(f"{at}downsample.2", F.conv2d(F.avg_pool2d(x, 2), s[f"{at}downsample.1.weight"]))
            x = F.prelu(x + y + s[f"{at}move1.bias"], s[f"{at}prelu.weight"]) + s[f"{at}move2.bias"]
    return F.linear(x.mean((2, 3)), s["fc.weight"], s["fc.bias"]).numpy()


@pytest.mark.parametrize("tau", [4, 5, snn.ALL])
def test_scores_are_those_of_the_official_network(
    small: Callable[[State], Path], monkeypatch: pytest.MonkeyPatch, tau: int
) -> None:
    arch = replace(SMALL, tau=tau)
    monkeypatch.setitem(snn.ARCHS, "snn_r18", arch)
    state = random_state(arch)
    graph = import_checkpoint(small(state), "snn_r18")
    images = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    scores = torch_exec.run(graph, images, double=True)
    np.testing.assert_allclose(scores, official_scores(state, arch, images), atol=1e-5)
    assert np.ptp(scores, axis=1).min() > 0.1
    assert graph.meta["weights"] == "imported from model_best.pth.tar"
    coded = [node.op.words is not None for node in graph.nodes if isinstance(node.op, BinaryConv)]
    assert coded == [tau != snn.ALL] * 3


def test_keys_of_the_official_file() -> None:
    shapes = snn.ARCHS["snn_r18"].shapes()
    norms = sum(key.endswith("running_var") for key in shapes)
    assert len(shapes) + norms == 202
    counted = [shape for key, shape in shapes.items() if not key.endswith(("running_mean", "running_var"))]
    assert sum(int(np.prod(shape)) for shape in counted) == 11_709_032
    big = snn.ARCHS["snn_r34"].shapes()
    assert len(big) + sum(key.endswith("running_var") for key in big) == 378
    assert list(shapes)[5:7] == ["layer1.0.move0.bias", "layer1.0.binary_conv.weight"]


def test_notices_of_what_the_file_leaves_open(small: Callable[[State], Path]) -> None:
    state = random_state()
    key = "layer2.0.binary_conv.binarize.patterns"
    state[key][2] = state[key][5]
    state[key][5, 0] *= 1e-4
    notices = import_checkpoint(small(state), "snn_r18").meta["notices"]
    assert notices == [
        "5 keys num_batches_tracked are not needed and were left out",
        f"1 codebook entries are smaller than 0.001 (first in '{key}'): training keeps their bits outside the "
        "checkpoint, their signs were taken",
        f"1 codewords repeat another of their layer (first in '{key}')",
    ]


def test_refusals(small: Callable[[State], Path]) -> None:
    def refusal(state: dict[str, Any]) -> str:
        path = small(state)
        with pytest.raises(FileFormatError) as error:
            import_checkpoint(path, "snn_r18")
        return str(error.value).replace(str(path), "FILE")

    where = "checkpoint FILE is not of arch snn_r18: "
    state = random_state()
    del state["layer1.0.binary_conv.binarize.patterns"]
    assert refusal(state) == where + "'layer1.0.binary_conv.binarize.patterns' is missing"
    state = random_state(replace(SMALL, tau=5))
    shapes = "must have shape (16, 9), not (32, 9)"
    assert refusal(state) == where + f"'layer1.0.binary_conv.binarize.patterns' {shapes}"
    state = random_state()
    state["layer2.0.downsample.2.running_var"][1] = -0.5
    assert refusal(state) == "checkpoint FILE: 'layer2.0.downsample.2.running_var' must not be negative, not -0.5"
