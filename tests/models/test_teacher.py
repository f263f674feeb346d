"""Teachers: their probabilities are the saved network's, a pupil learns from them alone, a training tells of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bnnhw import models
from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir.file import save
from bnnhw.errors import BnnhwError
from bnnhw.models import data
from bnnhw.models.recipes import real_r20, snn_r20
from bnnhw.models.recipes.snn_digits import RECIPE
from bnnhw.models.training.loop import Training, deterministic
from bnnhw.models.training.source import Stored
from bnnhw.models.training.teacher import Teacher, loss


def test_probabilities_are_those_of_the_saved_network() -> None:
    """However the pupil's images are normalised."""
    held = data.load("digits").first(20)
    mean, std = torch.tensor([0.3]).view(1, 1, 1), torch.tensor([0.7]).view(1, 1, 1)
    images = (torch.from_numpy(held.images).permute(0, 3, 1, 2) / 255 - mean) / std
    found = Teacher("snn_digits", RECIPE).probabilities(images, mean, std)
    expected = torch.from_numpy(torch_exec.run(models.load("snn_digits"), held.images)).softmax(dim=1)
    assert torch.allclose(found.sum(dim=1), torch.ones(20))
    # a sign at its threshold may flip
    assert ((found - expected).abs().amax(dim=1) < 1e-4).float().mean() >= 0.9


def test_loss() -> None:
    """By hand: a share of each cross entropy; without a teacher that of the labels."""
    torch.manual_seed(1)
    scores, labels, taught = torch.randn(5, 10), torch.arange(5), torch.rand(5, 10).softmax(dim=1)
    logs = scores.log_softmax(dim=1)
    own = -logs[torch.arange(5), labels].mean()
    soft = -(taught * logs).sum(dim=1).mean()
    for share in (1.0, 0.25, 0.0):
        recipe = replace(RECIPE, smoothing=0.0, teacher_share=share)
        assert torch.allclose(loss(scores, labels, taught, recipe), share * soft + (1 - share) * own)
        assert torch.allclose(loss(scores, labels, None, recipe), own)


def test_pupil_learns_from_the_teacher_alone() -> None:
    """With labels that are all wrong, which a recipe with a share of labels would follow."""
    whole, held = data.load("digits:train"), data.load("digits")
    wrong = data.Data(whole.images, (whole.labels + 1) % 10, "digits with wrong labels")
    with deterministic(1):
        work = Training(RECIPE, Stored(wrong), 1, 6, Teacher("snn_digits", RECIPE))
        work.finish(None, None)
        network = work.network.eval()
    graph = import_module(network, RECIPE.shape, mean=list(work.mean), std=list(work.std), name="pupil")
    assert (torch_exec.run(graph, held.images).argmax(axis=1) == held.labels).mean() > 0.7


def test_training_tells_of_its_teacher(tmp_path: Path) -> None:
    graph = models.load("snn_digits")
    save(graph, tmp_path / "master.bnn")
    teacher, out = tmp_path / "master.bnn", tmp_path / "pupil.bnn"
    taught = models.train("snn_digits", tmp_path / "first.bnn", epochs=1, teacher=teacher)
    assert (
        taught.meta["weights"] == "trained on scikit-learn digits, 1347 images, 1 epochs, seed 1, taught by master.bnn"
    )
    assert taught.meta["command"] == "bnnhw train snn_digits --teacher master.bnn --seed 1 --epochs 1"
    models.train("snn_digits", out, epochs=1, teacher=teacher)
    assert out.read_bytes() == (tmp_path / "first.bnn").read_bytes()

    def stop(stage: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.train("snn_digits", out, epochs=1, teacher=teacher, progress=stop)
    with pytest.raises(BnnhwError) as error:
        models.train("snn_digits", out, epochs=1)
    state = tmp_path / "pupil.bnn.state"
    digest = torch.load(state)["run"]["teacher"]
    assert str(error.value) == (
        f"{state} must be of a training with no teacher, not {digest}: go on as it was started, or remove the file"
    )
    save(graph.with_nodes(graph.nodes), teacher)  # the same network again
    models.train("snn_digits", out, epochs=1, teacher=teacher)
    assert out.read_bytes() == (tmp_path / "first.bnn").read_bytes()


def test_teacher_of_other_images_is_refused() -> None:
    with pytest.raises(BnnhwError) as error:
        models.train("snn_digits", teacher="adabin_r20")
    assert str(error.value) == (
        "teacher adabin_r20 must take images of 8x8x1 in 10 classes for snn_digits, not of 32x32x3 in 10"
    )
    with pytest.raises(BnnhwError, match="^model must be one of "):
        models.train("snn_digits", teacher="nobody")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch's own use
def test_real_network_imports_as_a_teacher(compiled: bool, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = real_r20.RECIPE.network().eval()
    graph = import_module(network, (32, 32, 3), mean=[0.5] * 3, std=[0.25] * 3, name="real")
    save(graph, tmp_path / "real.bnn")
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    half = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    with torch.no_grad():
        expected = network(x).softmax(dim=1)
    pupil = replace(snn_r20.RECIPE, compiled=compiled)
    found = Teacher(tmp_path / "real.bnn", pupil).probabilities(x, *half)
    assert torch.allclose(found, expected, atol=1e-4)
