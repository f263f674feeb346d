"""Training: reproducible, codebooks refined as the paper's code does, nothing half-written."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bnnhw import models
from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.models import layers
from bnnhw.models.training.augment import flip_and_shift
from bnnhw.models.training.checkpoint import interrupts_wait


def test_training_is_reproducible(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    threads = torch.get_num_threads()
    for name in ("a", "b"):
        models.train("snn_digits", tmp_path / name, epochs=1, progress=lambda stage, done, of: seen.append((done, of)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert seen == [(20, 21), (21, 21)] * 2
    assert torch.get_num_threads() == threads
    graph = models.load(tmp_path / "a")
    assert graph.meta["command"] == "bnnhw train snn_digits --seed 1 --epochs 1"
    assert graph.meta["weights"] == "trained on scikit-learn digits, 1347 images, 1 epochs, seed 1"


def test_interrupted_training_goes_on(tmp_path: Path) -> None:
    """In the middle of an epoch and again at the end of one: the same network as without a stop, byte for byte."""
    whole, parts, state = tmp_path / "whole", tmp_path / "parts", tmp_path / "parts.state"
    models.train("snn_digits", whole, epochs=3)

    def stop_at(step: int) -> Callable[[str, int, int], None]:
        def stop(stage: str, done: int, of: int) -> None:
            if done >= step:
                raise KeyboardInterrupt

        return stop

    for step in (30, 42):
        with pytest.raises(KeyboardInterrupt):
            models.train("snn_digits", parts, epochs=3, progress=stop_at(step))
        assert list(tmp_path.glob("parts*")) == [state]
    assert torch.load(state)["step"] == 42
    with pytest.raises(BnnhwError) as error:
        models.train("snn_digits", parts, epochs=3, seed=2)
    assert str(error.value) == (
        f"{state} must be of a training with seed 2, not 1: go on as it was started, or remove the file"
    )
    models.train("snn_digits", parts, epochs=3)
    assert parts.read_bytes() == whole.read_bytes()
    assert not state.exists()


def test_damaged_state(tmp_path: Path) -> None:
    state = tmp_path / "net.state"
    state.write_bytes(b"no state")
    with pytest.raises(FileFormatError, match=f"{state} must be the state of an interrupted training"):
        models.train("snn_digits", tmp_path / "net", epochs=1)


def test_interrupt_waits_for_the_step() -> None:
    with interrupts_wait() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGINT)
        assert asked.wait(5)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_shifted_and_mirrored() -> None:
    """Every image is a shifted, perhaps mirrored copy of itself with zeros around; both kinds come up."""
    torch.manual_seed(1)
    images = torch.arange(1.0, 2 * 64 * 36 + 1).reshape(64, 2, 6, 6)
    changed = flip_and_shift(images, 2)
    assert changed.shape == images.shape
    found = set()
    for before, after in zip(images, changed, strict=True):
        padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
        options = {
            (y, x, turned): (padded.flip(2) if turned else padded)[:, y : y + 6, x : x + 6]
            for y in range(5)
            for x in range(5)
            for turned in (False, True)
        }
        found |= {key for key, option in options.items() if torch.equal(option, after)}
    assert len(found) > 30
    assert {turned for _, _, turned in found} == {False, True}


def test_bad_arguments(tmp_path: Path) -> None:
    for arguments, message in (
        ({"recipe": "mnist"}, "recipe must be one of adabin_r20, dwr_r20, ftbnn_r20, snn_digits, snn_r20, not 'mnist'"),
        ({"recipe": "snn_digits", "epochs": 0}, "epochs must be at least 1, not 0"),
        (
            {"recipe": "snn_digits", "out": tmp_path / "no" / "a.bnn"},
            f"the folder of {tmp_path / 'no' / 'a.bnn'} must exist, and does not",
        ),
    ):
        with pytest.raises(BnnhwError) as error:
            models.train(**arguments)
        assert str(error.value) == message


def test_training_images_that_do_not_fit(tmp_path: Path) -> None:
    few, wrong = str(tmp_path / "few.npz"), str(tmp_path / "wrong.npz")
    images = np.zeros((63, 8, 8, 1), np.uint8)
    np.savez(few, images=images, labels=np.arange(63) % 10)
    np.savez(wrong, images=images, labels=np.arange(63) % 11)
    for recipe, data, message in (
        ("snn_r20", [], "recipe snn_r20 needs training images of 32x32x3, and none are named"),
        ("snn_r20", ["digits"], "images of digits must be (32, 32, 3) for snn_r20, not (8, 8, 1)"),
        ("snn_digits", [wrong], f"labels of {wrong} must be below 10, not 10"),
        ("snn_digits", [few], "recipe snn_digits needs at least 64 images, not 63"),
    ):
        with pytest.raises(BnnhwError) as error:
            models.train(recipe, data=data)
        assert str(error.value) == message


def codebook(seed: int = 1) -> layers.CodebookConv2d:
    torch.manual_seed(seed)
    return layers.CodebookConv2d(3, 4, 5)


def test_nearest_codeword() -> None:
    layer = codebook()
    words, kernels = layer.words(), layer.weight.detach().reshape(12, 9)
    distance = ((kernels[:, None] - words[None]) ** 2).sum(dim=2)
    assert torch.equal(layer.index().reshape(-1), distance.argmin(dim=1))
    assert sorted(set(layer.words().unique().tolist())) == [-1.0, 1.0]
    assert len(torch.unique(words, dim=0)) == 32
    assert not torch.equal(words, codebook(2).words()), "each layer draws its own subset"


def test_small_patterns_keep_their_bit() -> None:
    layer = codebook()
    before = layer.words()
    layer.patterns.data[0] = -before[0] * 0.0009
    assert torch.equal(layer.words(), before)
    layer.patterns.data[0] = -before[0] * 0.0011
    assert torch.equal(layer.words()[0], -before[0])


def test_patterns_move_every_25th_step_only() -> None:
    layer = codebook()
    for step in range(60):
        layer.weight.grad = layer.patterns.grad = None
        layer.pace(step, 60)
        layer(torch.ones(1, 3, 4, 4)).sum().backward()
        assert (layer.patterns.grad is not None) == (step > 0 and step % 25 == 0)
        assert layer.weight.grad is not None
        layer.refine()


def test_equal_codewords_are_replaced() -> None:
    layer = codebook()
    layer.refine()
    layer.pace(25, 100)
    first, others = layer.words()[:3].clone(), layer.words()[6:].clone()
    layer.patterns.data[3:6] = layer.patterns.data[0]
    layer.patterns.data[1] *= 7
    layer.refine()
    words = layer.words()
    assert len(torch.unique(words, dim=0)) == 32
    assert torch.equal(words[:3], first)
    assert torch.equal(words[6:], others)
    assert layer.patterns.abs().max() <= 3


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
