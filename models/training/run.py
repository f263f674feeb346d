"""One training from data to calibrated network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph
from bnnhw.compiler.ir.file import save
from bnnhw.compiler.lower import calibrate
from bnnhw.errors import BnnhwError
from bnnhw.models import data as sets
from bnnhw.models.training.checkpoint import state_path
from bnnhw.models.training.loop import Progress, Training, deterministic
from bnnhw.models.training.recipe import Recipe
from bnnhw.models.training.teacher import Teacher

CALIBRATION = 2000
"""Images of the training set that fixed-point ranges are chosen on."""


def run(
    recipe: Recipe,
    data: Sequence[str],
    out: Path | None,
    seed: int,
    epochs: int | None,
    progress: Progress | None,
    teacher: str | Path | None = None,
) -> Graph:
    """Train, import and calibrate; see `bnnhw.models.train`."""
    training = load(recipe, data)
    tutor = None if teacher is None else Teacher(teacher, recipe)
    count = epochs or recipe.epochs
    state = None if out is None else state_path(out)
    with deterministic(recipe.threads):
        work = Training(recipe, training, seed, count, tutor)
        if state is not None:
            work.load(state)
        work.finish(state, progress)
        network = work.network.cpu().eval()
    taught = "" if tutor is None else f", taught by {tutor.name}"
    graph = import_module(
        network,
        recipe.shape,
        mean=list(work.mean),
        std=list(work.std),
        name=recipe.name,
        classes=list(recipe.classes),
        paper=recipe.paper,
        weights=f"trained on {training.name}, {len(training)} images, {count} epochs, seed {seed}{taught}",
    )
    graph = calibrate(graph, training.images[:: max(1, len(training) // CALIBRATION)][:CALIBRATION])
    given = "".join(f" --data {shlex.quote(Path(name).name)}" for name in data)
    given += "" if tutor is None else f" --teacher {shlex.quote(tutor.name)}"
    graph = graph.with_meta(command=f"bnnhw train {recipe.name}{given} --seed {seed} --epochs {count}")
    if out is not None:
        save(graph, out)
        state_path(out).unlink(missing_ok=True)
    return graph


def load(recipe: Recipe, data: Sequence[str]) -> sets.Data:
    """The images to train on. Raises BnnhwError where none are named, or for others than the network takes."""
    names = list(data) or ([recipe.data] if recipe.data is not None else [])
    if not names:
        shape = "x".join(map(str, recipe.shape))
        raise BnnhwError(f"recipe {recipe.name} needs training images of {shape}: name them with --data")
    parts = [sets.load(name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if part.images.shape[1:] != recipe.shape:
            raise BnnhwError(f"images of {name} must be {recipe.shape} for {recipe.name}, not {part.images.shape[1:]}")
        if part.labels.max() >= len(recipe.classes):
            raise BnnhwError(f"labels of {name} must be below {len(recipe.classes)}, not {part.labels.max()}")
    whole = sets.Data(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        " and ".join(Path(part.name).name.replace("digits:train", "scikit-learn digits") for part in parts),
    )
    if len(whole) < recipe.batch:
        raise BnnhwError(f"recipe {recipe.name} needs at least {recipe.batch} images, not {len(whole)}")
    return whole
