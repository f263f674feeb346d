"""Training on a folder of photographs: random crops, every image read once an epoch, a network from end to end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnnhw import models
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.errors import BnnhwError
from bnnhw.models import data
from bnnhw.models.recipes import snn_r18
from bnnhw.models.training.run import load, run
from bnnhw.models.training.source import AREA, ASPECT, Photographs, crop

CPU = torch.device("cpu")
SMALL = replace(
    snn_r18.RECIPE, network=partial(snn_r18.snn_r18, (8, 16), (1, 1), 2), shape=(64, 64, 3), classes=("dark", "light"),
    batch=4, epochs=4, threads=1, compiled=False, rate=4e-3,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Dark and light pictures of many sizes, kinds and modes."""
    rng = np.random.default_rng(1)
    for label, middle in (("a", 60), ("b", 190)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for n in range(8):
            size = rng.integers(40, 140, 2)
            pixels = np.clip(rng.normal(middle, 25, (*size, 3)), 0, 255).astype(np.uint8)
            mode, kind = (("RGB", "png"), ("RGB", "jpg"), ("L", "png"), ("CMYK", "jpg"))[n % 4]
            Image.fromarray(pixels).convert(mode).save(tmp_path / "pictures" / label / f"{n}.{kind}")
    return tmp_path / "pictures"


def test_crops() -> None:
    """Areas and aspects over their whole ranges, always inside; the middle of a strip that has none."""
    rng = np.random.Generator(np.random.PCG64(1))
    found = []
    for _ in range(2000):
        left, top, right, bottom = crop((300, 200), rng)
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 200
        found.append(((right - left) * (bottom - top) / 60000, (right - left) / (bottom - top), left, top))
    areas, aspects, lefts, tops = np.array(found).T
    assert AREA[0] - 0.01 < areas.min() < 0.1
    assert areas.max() > 0.8
    assert ASPECT[0] - 0.02 < aspects.min() < 0.78
    assert 1.3 < aspects.max() < ASPECT[1] + 0.02
    assert (lefts.max() > 150, tops.max() > 100, lefts.min(), tops.min()) == (True, True, 0, 0)
    assert crop((1000, 10), rng) == (493, 0, 506, 10)
    assert crop((1, 1), rng) == (0, 0, 1, 1)


def test_images_of_a_step(folder: Path) -> None:
    """They follow from seed, step and image; told beforehand or not, in whatever company."""
    source = Photographs(folder, (64, 64, 3), 1)
    assert source.labels.tolist() == [0] * 8 + [1] * 8
    images = source.take(5, [2, 9, 3], CPU)
    assert images.shape == (3, 3, 64, 64)
    assert (images.float().mean(dim=(1, 2, 3)) > 125).tolist() == [False, True, False]
    other = Photographs(folder, (64, 64, 3), 1)
    other.expect(5, [9])
    other.expect(6, [9])
    assert torch.equal(other.take(5, [9], CPU)[0], images[1])
    assert not torch.equal(other.take(6, [9], CPU)[0], images[1])
    assert not torch.equal(Photographs(folder, (64, 64, 3), 2).take(5, [9], CPU)[0], images[1])
    digest = source.digest()
    assert digest == other.digest()
    assert source.sample(4).shape == (4, 64, 64, 3)
    (folder / "a" / "0.png").unlink()
    assert Photographs(folder, (64, 64, 3), 1).digest() != digest


def test_every_image_once_an_epoch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    cropped = Photographs._cropped

    def noted(self: Photographs, index: int, step: int) -> np.ndarray:
        read.append((step, index))
        return cropped(self, index, step)

    monkeypatch.setattr(Photographs, "_cropped", noted)
    graph = run(SMALL, [str(folder)], None, 1, 2, None)
    for epoch in (0, 1):
        assert sorted(index for step, index in read if step // 4 == epoch) == list(range(16))
    assert graph.meta["weights"] == "trained on pictures, 16 images, 2 epochs, seed 1"
    assert graph.shapes()[graph.input.name] == (3, 64, 64)
    assert set(graph.meta["ranges"]) == {node.name for node in graph.nodes}


def test_interrupted_training_goes_on(folder: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: int, of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    run(SMALL, [str(folder)], tmp_path / "whole.bnn", 1, 3, None)
    with pytest.raises(KeyboardInterrupt):
        run(SMALL, [str(folder)], tmp_path / "parts.bnn", 1, 3, stop)
    run(SMALL, [str(folder)], tmp_path / "parts.bnn", 1, 3, None)
    assert (tmp_path / "parts.bnn").read_bytes() == (tmp_path / "whole.bnn").read_bytes()


def test_evaluation_makes_photographs_fit(folder: Path) -> None:
    """A class folder of any sizes; nothing of what is not asked for is read."""
    colour = folder.parent / "colour"
    for n, size in enumerate([(90, 70), (64, 64), (50, 120)]):
        (colour / str(n)).mkdir(parents=True)
        Image.fromarray(np.full((*size, 3), 80 * n, np.uint8)).save(colour / str(n) / "x.png")
    (colour / "3").mkdir()
    (colour / "3" / "x.png").write_bytes(b"no picture")
    found = data.load(colour, (64, 64, 3), 3)
    assert found.images.shape == (3, 64, 64, 3)
    assert (found.images[:, 0, 0, 0].tolist(), found.labels.tolist()) == ([0, 80, 160], [0, 1, 2])
    with pytest.raises(BnnhwError, match="must be a picture Pillow can read"):
        data.load(colour, (64, 64, 3))
    with pytest.raises(BnnhwError, match="like the first image of"):
        data.load(colour, None, 2)


def test_faults(folder: Path) -> None:
    def refusal(names: list[str], recipe=SMALL) -> str:
        with pytest.raises(BnnhwError) as error:
            run(recipe, names, None, 1, 1, None)
        return str(error.value)

    assert refusal([]) == "recipe snn_r18 needs training images of 64x64x3, and none are named"
    assert refusal(["a", "b"]) == "data of recipe snn_r18 must be one folder <class>/<image>, not a and b"
    empty = folder / "a"
    assert refusal([str(empty)]) == (
        f"data must be a folder <class>/<image>, not {empty}: it holds no pictures in folders"
    )
    many = replace(SMALL, batch=17)
    assert refusal([str(folder)], many) == "recipe snn_r18 needs at least 17 images, not 16"
    (folder / "c").mkdir()
    (folder / "c" / "0.png").write_bytes(b"no picture")
    assert refusal([str(folder)]) == f"labels of {folder} must be below 2, not 2"
    three = replace(SMALL, classes=("a", "b", "c"), network=partial(snn_r18.snn_r18, (8, 16), (1, 1), 3), batch=17)
    assert refusal([str(folder)], three).startswith(f"image {folder}/c/0.png must be a picture Pillow can read")
    assert len(load(three, [str(folder)], 1)) == 17


def test_network_is_that_of_the_catalogue() -> None:
    """As many products and bits as the official network."""
    torch.manual_seed(1)
    graph = import_module(snn_r18.snn_r18().eval(), (224, 224, 3), mean=[0.5] * 3, std=[0.5] * 3, name="net")
    assert models.info(graph).cost == models.info(models.load("snn_r18")).cost
