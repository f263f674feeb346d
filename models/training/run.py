"""One training from data to calibrated network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph
from bnnhw.compiler.ir.file import save
from bnnhw.errors import BnnhwError
from bnnhw.models import data as sets
from bnnhw.models.training.checkpoint import state_path
from bnnhw.models.training.group import joined
from bnnhw.models.training.loop import Progress, Training, deterministic
from bnnhw.models.training.recipe import Described, Recipe
from bnnhw.models.training.source import Photographs, Source, Stored
from bnnhw.models.training.start import Start
from bnnhw.models.training.teacher import Teacher
from bnnhw.spec.network import PHOTOGRAPH

CALIBRATION = 2000
"""Images of the training set that fixed-point ranges are chosen on; fewer where they have more than 32x32 pixels ..."""
FEWEST = 32
"""... but so many."""


def run(
    recipe: Recipe,
    data: Sequence[str],
    out: Path | None,
    seed: int,
    epochs: int | None,
    progress: Progress | None,
    teacher: str | Path | None = None,
    start: str | Path | None = None,
    keep: bool = False,
    rate: float | None = None,
    fine: bool = False,
) -> Graph:
    """Train, import and calibrate; see `bnnhw.models.train`."""
    recipe = recipe if rate is None else replace(recipe, rate=rate)
    recipe = recipe.fine_tuning() if fine else recipe
    begin = None if start is None else Start(start, recipe)
    source = load(recipe, data, seed)
    tutor = None if teacher is None else Teacher(teacher, recipe)
    count = epochs or recipe.epochs
    state = None if out is None else state_path(out)
    with deterministic(recipe.threads), joined() as group:
        work = Training(recipe, source, seed, count, tutor, group, begin)
        if state is not None:
            work.load(state)
        work.finish(state, progress if not group.rank else None)
        if state is not None and keep:
            work.save(state)
        network = work.network.cpu().eval()
    taught = "" if tutor is None else f", taught by {tutor.name}"
    taught += "" if rate is None else f", at a rate of {rate:g}"
    taught += ", fine-tuned" if fine else ""
    taught += f", begun with {work.run['start']}" if begin is not None else ""
    meta: dict[str, Any] = {
        "name": recipe.name,
        "classes": list(recipe.classes),
        "paper": recipe.paper,
        "weights": f"trained on {source.name}, {len(source)} images, {count} epochs, seed {seed}{taught}",
        "mean": list(work.mean),
        "std": list(work.std),
    }
    graph = network.graph(**meta) if isinstance(network, Described) else import_module(network, recipe.shape, **meta)
    if group.rank:
        return graph
    height, width, _ = recipe.shape
    graph = calibrate(graph, source.sample(max(FEWEST, min(CALIBRATION, CALIBRATION * 32 * 32 // (height * width)))))
    given = "".join(f" --data {shlex.quote(Path(name).name)}" for name in data)
    given += "" if tutor is None else f" --teacher {shlex.quote(tutor.name)}"
    given += "" if begin is None else f" --start {shlex.quote(begin.name)}"
    given += " --fine" if fine else ""
    given += "" if rate is None else f" --rate {rate:g}"
    graph = graph.with_meta(command=f"bnnhw train {recipe.name}{given} --seed {seed} --epochs {count}")
    if out is not None:
        save(graph, out)
        if not keep:
            state_path(out).unlink(missing_ok=True)
    return graph


def load(recipe: Recipe, data: Sequence[str], seed: int) -> Source:
    """The images to train on. Raises BnnhwError where none are named, or for others than the network takes."""
    names = list(data) or ([recipe.data] if recipe.data is not None else [])
    shape = "x".join(map(str, recipe.shape))
    if not names:
        raise BnnhwError(f"recipe {recipe.name} needs training images of {shape}, and none are named")
    source = _photographs(recipe, names, seed) if min(recipe.shape[:2]) >= PHOTOGRAPH else _stored(recipe, names)
    if len(source) < recipe.batch:
        raise BnnhwError(f"recipe {recipe.name} needs at least {recipe.batch} images, not {len(source)}")
    return source


def _check_labels(recipe: Recipe, name: str, labels: sets.Labels) -> None:
    if labels.max() >= len(recipe.classes):
        raise BnnhwError(f"labels of {name} must be below {len(recipe.classes)}, not {labels.max()}")


def _photographs(recipe: Recipe, names: Sequence[str], seed: int) -> Source:
    if len(names) > 1 or not Path(names[0]).is_dir():
        raise BnnhwError(f"data of recipe {recipe.name} must be one folder <class>/<image>, not {' and '.join(names)}")
    source = Photographs(Path(names[0]), recipe.shape, seed)
    _check_labels(recipe, names[0], source.labels)
    return source


def _stored(recipe: Recipe, names: Sequence[str]) -> Source:
    parts = [sets.load(name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if part.images.shape[1:] != recipe.shape:
            raise BnnhwError(f"images of {name} must be {recipe.shape} for {recipe.name}, not {part.images.shape[1:]}")
        _check_labels(recipe, name, part.labels)
    whole = sets.Data(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        " and ".join(Path(part.name).name for part in parts),
    )
    return Stored(whole)
