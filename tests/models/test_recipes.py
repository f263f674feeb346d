"""Training: reproducible, goes on where it was stopped, nothing half-written."""

from __future__ import annotations

import importlib
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bnnhw import models
from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.ir import Conv, Graph
from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.models import data as sets
from bnnhw.models.codebook import CodebookConv2d, Refinement
from bnnhw.models.layers import SHARPNESS, AdaBinConv2d, Kernel
from bnnhw.models.recipes.snn_digits import RECIPE
from bnnhw.models.training.augment import flip_and_shift
from bnnhw.models.training.checkpoint import interrupts_wait
from bnnhw.models.training.loop import Training, deterministic
from bnnhw.models.training.source import Stored
from bnnhw.models.training.start import Start


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


def test_a_smaller_rate_keeps_more(tmp_path: Path) -> None:
    """Of the network that a training begins with; file and state say what the rate was."""
    out = tmp_path / "net.bnn"
    moved, before = {}, real_weights(models.load("snn_digits"))
    for rate in (RECIPE.rate / 100, RECIPE.rate):
        graph = models.train("snn_digits", out, epochs=1, start="snn_digits", rate=rate, keep=True)
        moved[rate] = np.abs(real_weights(graph) - before).mean()
        if rate < RECIPE.rate:
            assert graph.meta["command"].endswith(f"--start snn_digits --rate {rate:g} --seed 1 --epochs 1")
            assert f"1 epochs, seed 1, at a rate of {rate:g}, begun with snn_digits" in graph.meta["weights"]
            with pytest.raises(BnnhwError, match=f"must be of a training with rate {RECIPE.rate}, not {rate}: go on"):
                models.train("snn_digits", out, epochs=1, start="snn_digits")
            (tmp_path / "net.bnn.state").unlink()
    assert 0 < moved[RECIPE.rate / 100] < moved[RECIPE.rate] / 20


def test_fine_tuning_is_all_last_steps(tmp_path: Path) -> None:
    """Whole images, binary kernels, the codebook as it is; file and state tell of it."""
    source = Stored(sets.load("digits:train").first(640))
    recipe = replace(RECIPE, small=((1.0, 4),), real=0.9)
    seen: dict[bool, set[tuple[int, bool, bool]]] = {False: set(), True: set()}
    for fine, found in seen.items():
        with deterministic(1):
            work = Training(recipe.fine_tuning() if fine else recipe, source, 1, 4)
            layer = next(m for m in work.network.modules() if isinstance(m, CodebookConv2d))
            words = layer.words()
            work.network.register_forward_pre_hook(
                lambda _, images, layer=layer, found=found: found.add((images[0].shape[2], layer.real, layer.refining))
            )
            work.finish(None, None)
        assert not fine or torch.equal(layer.words(), words)
    assert seen == {False: {(4, True, False), (4, True, True), (4, False, False)}, True: {(8, False, False)}}
    out = tmp_path / "net.bnn"
    graph = models.train("snn_digits", out, epochs=1, start="snn_digits", fine=True, keep=True)
    assert graph.meta["command"] == "bnnhw train snn_digits --start snn_digits --fine --seed 1 --epochs 1"
    assert "1 epochs, seed 1, fine-tuned, begun with snn_digits" in graph.meta["weights"]
    with pytest.raises(BnnhwError, match="must be of a training with no fine, not True: go on"):
        models.train("snn_digits", out, epochs=1, start="snn_digits")


def test_settled_layers_are_as_at_the_end() -> None:
    for layer in (AdaBinConv2d(2, 2), CodebookConv2d(2, 2, sharpen=SHARPNESS)):
        layer.settle()
        assert layer.sharpness == SHARPNESS[1]
        layer.pace(7, 7)
        assert layer.sharpness == SHARPNESS[1]
        layer.pace(3, 7)
        assert layer.sharpness < SHARPNESS[1]
    every = CodebookConv2d(2, 2, refinement=Refinement(every=1))
    every.settle()
    assert not every.refining


def real_weights(graph: Graph) -> NDArray[np.float32]:
    """Of the first convolution."""
    return next(node.op.weight for node in graph.nodes if isinstance(node.op, Conv))


def test_damaged_state(tmp_path: Path) -> None:
    state = tmp_path / "net.state"
    state.write_bytes(b"no state")
    with pytest.raises(FileFormatError, match=f"{state} must be the state of a training, and is not"):
        models.train("snn_digits", tmp_path / "net", epochs=1)


def test_interrupt_waits_for_the_step(interruptible: None) -> None:
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
        ({"recipe": "mnist"}, f"recipe must be one of {', '.join(models.recipe_names())}, not 'mnist'"),
        ({"recipe": "snn_digits", "epochs": 0}, "epochs must be at least 1, not 0"),
        ({"recipe": "snn_digits", "fine": True}, "fine needs a start: a state or a network to tune"),
        ({"recipe": "snn_digits", "rate": 0.0}, "rate must be above 0 and finite, not 0.0"),
        ({"recipe": "snn_digits", "rate": math.inf}, "rate must be above 0 and finite, not inf"),
        ({"recipe": "snn_digits", "rate": math.nan}, "rate must be above 0 and finite, not nan"),
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


def test_images_grow() -> None:
    """As the recipe's schedule says, from step to step."""
    recipe, sides = replace(RECIPE, small=((0.25, 4), (0.6, 6))), list[int]()
    assert [recipe.side(step, 40) for step in (0, 9, 10, 23, 24, 39)] == [4, 4, 6, 6, 8, 8]
    with deterministic(1):
        work = Training(recipe, Stored(sets.load("digits:train").first(640)), 1, 4)
        work.network.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[2]))
        work.finish(None, None)
    assert sides == [4] * 10 + [6] * 14 + [8] * 16


def test_real_weights_first() -> None:
    """For the part of the steps that the recipe says, in all convolutions of binary maps, and never at the end."""
    recipe, found = replace(RECIPE, real=0.3), list[bool]()
    with deterministic(1):
        work = Training(recipe, Stored(sets.load("digits:train").first(640)), 1, 2)
        kernels = [module for module in work.network.modules() if isinstance(module, Kernel)]
        work.network.register_forward_pre_hook(lambda *_: found.append(any(kernel.real for kernel in kernels)))
        work.network.register_forward_pre_hook(lambda *_: found.append(all(kernel.real for kernel in kernels)))
        work.finish(None, None)
    assert found == [True] * 2 * 6 + [False] * 2 * 14
    assert len(kernels) == 4


def kinds(half: bool) -> tuple[set[torch.dtype], set[torch.dtype], float]:
    """What a short training computes maps in and keeps weights in, and its last loss."""
    maps: set[torch.dtype] = set()
    said: list[str] = []
    with deterministic(1):
        work = Training(replace(RECIPE, half=half), Stored(sets.load("digits:train").first(640)), 1, 4)
        for module in work.network.modules():
            if isinstance(module, Kernel):
                module.register_forward_hook(lambda module, _, output: maps.add(output.dtype))
        work.finish(None, lambda text, *_: said.append(text))
    return maps, {p.dtype for p in work.network.parameters()}, float(said[-1].split("loss ")[1].split(",")[0])


def test_maps_of_half_precision() -> None:
    """Where the recipe says so; weights are in float32 all the same."""
    whole, half = kinds(False), kinds(True)
    assert whole[:2] == ({torch.float32}, {torch.float32})
    assert half[:2] == ({torch.bfloat16}, {torch.float32})
    assert half[2] != whole[2]
    assert half[2] == pytest.approx(whole[2], abs=0.15)


@pytest.mark.parametrize(
    "name", ["adabin_r20", "snn_r20", "dwr_r20", "ftbnn_r20", "pokebnn_cifar", "adabin_vgg", "snn_vgg", "real_r20"]
)
def test_recipes_for_cifar_take_steps(name: str) -> None:
    """As they are, but for the compiling: two steps, after which all is finite."""
    recipe = importlib.import_module(f"bnnhw.models.recipes.{name}").RECIPE
    recipe = replace(recipe, batch=8, compiled=False, small=recipe.small and ((1.0, recipe.small[0][1]),))
    rng = np.random.default_rng(1)
    images = sets.Data(rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8), np.arange(16) % 10, "noise")
    losses: list[float] = []
    with deterministic(1):
        work = Training(recipe, Stored(images), 1, 1)
        work.finish(None, lambda text, *_: losses.append(float(text.split("loss ")[1].split(",")[0])))
    assert recipe.half
    assert losses
    assert np.isfinite(losses).all()
    assert all(torch.isfinite(value).all() for value in work.network.state_dict().values())


def test_a_training_begins_with_another(tmp_path: Path) -> None:
    """With the network that a training ended with, or was interrupted at; the file says so."""
    first, second = tmp_path / "first.bnn", tmp_path / "second.bnn"
    models.train("snn_digits", first, epochs=2, keep=True)
    state = tmp_path / "first.bnn.state"
    with deterministic(1):
        source = Stored(sets.load("digits:train"))
        work = Training(RECIPE, source, 5, 1, start=Start(state, RECIPE))
    saved = torch.load(state, weights_only=True)
    assert saved["step"] == 42
    for name, value in work.network.state_dict().items():
        assert torch.equal(value, saved["network"][name]), name
    assert work.step == 0
    graph = models.train("snn_digits", second, epochs=1, seed=5, start=state)
    begun = "begun with step 42 of 2 epochs with seed 1"
    assert graph.meta["weights"] == f"trained on scikit-learn digits, 1347 images, 1 epochs, seed 5, {begun}"
    assert graph.meta["command"] == "bnnhw train snn_digits --start first.bnn.state --seed 5 --epochs 1"
    assert not (tmp_path / "second.bnn.state").exists()
    held, fresh = sets.load("digits"), models.train("snn_digits", epochs=1, seed=5)
    begun_right, fresh_right = (
        (torch_exec.run(net, held.images).argmax(axis=1) == held.labels).mean() for net in (graph, fresh)
    )
    assert begun_right > fresh_right + 0.1
    models.train("snn_digits", first, epochs=2, keep=True)  # there is nothing left to do
    assert torch.load(state, weights_only=True)["step"] == 42

    with pytest.raises(BnnhwError) as error:
        models.train("snn_digits", second, start=tmp_path / "nothing.state")
    assert str(error.value) == f"start must be the state of a training, and there is no file {tmp_path}/nothing.state"
    saved["run"]["recipe"] = "snn_r20"
    torch.save(saved, state)
    with pytest.raises(BnnhwError) as error:
        models.train("snn_digits", second, start=state)
    assert str(error.value) == f"{state} must be the state of a training of snn_digits, not of snn_r20"
