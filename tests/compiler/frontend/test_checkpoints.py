"""AdaBin checkpoints: the good one gives torch's scores; a hostile or damaged one gives one line and runs nothing."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnnhw.compiler.frontend import ARCHS, adabin, import_checkpoint, torch_exec
from bnnhw.compiler.frontend.nodes import IMAGENET
from bnnhw.compiler.ir import interpret
from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.models import data
from bnnhw.models.adabin import AdaBinResNet

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
OFFICIAL = SHARED / "adabin" / "resnet20_1w1a.pth"
CIFAR = SHARED / "cifar10" / "test_batch_first1000.bin"
needs_data = pytest.mark.skipif(
    not (OFFICIAL.is_file() and CIFAR.is_file()), reason=f"no AdaBin checkpoint in {SHARED}"
)


@pytest.fixture
def state() -> dict[str, Any]:
    """State of a random network as a checkpoint holds it."""
    random = {
        key: torch.from_numpy(value.copy())
        for key, value in adabin.random_state(adabin.ARCHS["adabin_r20"].shapes(), 7).items()
    }
    return random | {"bn1.num_batches_tracked": torch.tensor(9)}


def saved(folder: Path, state: dict[str, Any], prefix: str = "module.") -> Path:
    path = folder / "net.pth"
    torch.save({"state_dict": OrderedDict((prefix + key, value) for key, value in state.items())}, path)
    return path


def module_scores(state: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """Scores of the torch network itself, in float64."""
    module = AdaBinResNet()
    module.load_state_dict(state, strict=False)
    mean, std = (torch.tensor(constants, dtype=torch.float64) for constants in IMAGENET)
    x = ((torch.from_numpy(images).double() / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return module.double().eval()(x).numpy()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_random_checkpoint(tmp_path: Path, state: dict[str, Any], prefix: str) -> None:
    state["layer1.0.conv1.binary_a.alpha_a"] *= -1
    graph = import_checkpoint(saved(tmp_path, state, prefix), "adabin_r20")
    images = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(torch_exec.run(graph, images, double=True), module_scores(state, images), atol=1e-4)
    assert graph.meta["weights"] == "imported from net.pth"
    assert graph.meta["notices"] == ["1 keys num_batches_tracked are not needed and were left out"]


def test_plain_state_dict(tmp_path: Path, state: dict[str, Any]) -> None:
    torch.save(state, tmp_path / "net.pth")
    assert import_checkpoint(tmp_path / "net.pth", "adabin_r20").output == "linear"


@needs_data
def test_official_checkpoint() -> None:
    graph = import_checkpoint(OFFICIAL, "adabin_r20")
    images, labels = data.load(CIFAR).images, data.load(CIFAR).labels
    ours = torch_exec.run(graph, images)
    # one of the 1,000 images lies on the edge: rounding decides between 889 and 890
    assert 889 <= (ours.argmax(axis=1) == labels).sum() <= 891
    few = slice(0, 30)
    archive = torch.load(OFFICIAL, weights_only=True, map_location="cpu")["state_dict"]
    module = module_scores({key.removeprefix("module."): value for key, value in archive.items()}, images[few])
    assert (torch_exec.run(graph, images[few], double=True).argmax(axis=1) == module.argmax(axis=1)).all()
    assert (interpret.run(graph, images[few]).argmax(axis=1) == module.argmax(axis=1)).mean() >= 0.96


def refusal(path: Path, kind: type[BnnhwError] = FileFormatError) -> str:
    with pytest.raises(kind) as error:
        import_checkpoint(path, "adabin_r20")
    return str(error.value)


def test_missing_key(tmp_path: Path, state: dict[str, Any]) -> None:
    del state["layer2.0.bn1.bias"]
    path = saved(tmp_path, state)
    assert refusal(path) == f"checkpoint {path} is not of arch adabin_r20: 'layer2.0.bn1.bias' is missing"
    del state["linear.bias"]
    path = saved(tmp_path, state)
    assert refusal(path) == f"checkpoint {path} is not of arch adabin_r20: 'layer2.0.bn1.bias' is missing (and 1 more)"


def test_extra_key(tmp_path: Path, state: dict[str, Any]) -> None:
    path = saved(tmp_path, state | {"layer4.0.conv1.weight": torch.zeros(1)})
    assert (
        refusal(path) == f"checkpoint {path} is not of arch adabin_r20: 'layer4.0.conv1.weight' is not one of its keys"
    )


def test_wrong_shape(tmp_path: Path, state: dict[str, Any]) -> None:
    path = saved(tmp_path, state | {"linear.weight": torch.zeros(100, 64)})
    assert refusal(path) == (
        f"checkpoint {path} is not of arch adabin_r20: 'linear.weight' must have shape (10, 64), not (100, 64)"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(tmp_path: Path, state: dict[str, Any], value: float) -> None:
    state["layer3.2.conv2.weight"][5, 4, 1, 1] = value
    path = saved(tmp_path, state)
    assert refusal(path) == f"checkpoint {path}: 'layer3.2.conv2.weight' must be finite, not NaN or infinity"


def test_values_out_of_range(tmp_path: Path, state: dict[str, Any]) -> None:
    path = saved(tmp_path, state | {"bn1.running_var": torch.full((16,), -0.5)})
    assert refusal(path) == f"checkpoint {path}: 'bn1.running_var' must not be negative, not -0.5"
    path = saved(tmp_path, state | {"layer1.0.conv1.binary_a.alpha_a": torch.tensor(0.0)})
    assert refusal(path) == f"checkpoint {path}: 'layer1.0.conv1.binary_a.alpha_a' must not be 0"


def test_wrong_kinds_of_values(tmp_path: Path, state: dict[str, Any]) -> None:
    path = saved(tmp_path, state | {"linear.bias": torch.zeros(10, dtype=torch.int64)})
    assert refusal(path) == (
        f"checkpoint {path} is not of arch adabin_r20: 'linear.bias' must be a float tensor, not int64"
    )
    path = saved(tmp_path, state | {"linear.bias": [0.0] * 10})
    assert refusal(path) == f"checkpoint {path}: 'module.linear.bias' must be a dense real tensor, not list"
    torch.save([1, 2], path)
    assert refusal(path) == f"checkpoint {path} must hold a state dict, not list"
    torch.save({"a": torch.zeros(1), "module.a": torch.zeros(1)}, path)
    assert refusal(path) == f"checkpoint {path} must hold 'a' once, not with and without 'module.'"


class Hostile:
    """Makes a folder when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["pickle", "torch zip", "torch legacy"])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, state: dict[str, Any], form: str) -> None:
    mark, path = tmp_path / "code-was-run", tmp_path / "net.pth"
    content = {"state_dict": state, "extra": Hostile(mark)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(Hostile(mark), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch zip")
    message = refusal(path)
    assert not mark.exists()
    assert message == (
        f"checkpoint {path} must hold plain tensors only, and asks for {os.mkdir.__module__}.mkdir: "
        "refused, nothing of it was run"
    )
    assert pickle.loads(pickle.dumps(Hostile(mark))) is None  # noqa: S301 - the trap itself works
    assert mark.is_dir()


def test_newer_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps(Hostile(tmp_path / "code-was-run")))
    assert refusal(path) == f"{path} must be a PyTorch checkpoint, and is not (or is damaged)"
    assert not (tmp_path / "code-was-run").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02]q\x00", b"PK\x03\x04" + bytes(40)])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    assert refusal(path) == f"{path} must be a PyTorch checkpoint, and is not (or is damaged)"


def test_truncated_and_foreign_archives(tmp_path: Path, state: dict[str, Any]) -> None:
    path = saved(tmp_path, state)
    path.write_bytes(path.read_bytes()[:-500])
    assert refusal(path) == f"{path} must be a PyTorch checkpoint, and is not (or is damaged)"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert refusal(path) == f"{path} must be a PyTorch checkpoint, and is not (or is damaged)"


def test_unknown_arch_and_file(tmp_path: Path) -> None:
    with pytest.raises(BnnhwError) as error:
        import_checkpoint(tmp_path / "net.pth", "adabin_r50")
    assert str(error.value) == f"arch must be one of {', '.join(sorted(ARCHS))}, not 'adabin_r50'"
    assert refusal(tmp_path / "no.pth", BnnhwError) == (
        f"checkpoint must be a file, not '{tmp_path / 'no.pth'}': there is no such file"
    )


def test_reference_refuses_other_images() -> None:
    with pytest.raises(BnnhwError) as error:
        torch_exec.run(adabin.untrained("adabin_r20"), np.zeros((1, 8, 8, 1), np.uint8))
    assert str(error.value) == "images must have shape (N, 32, 32, 3), not (1, 8, 8, 1)"
