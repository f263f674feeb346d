"""Trains a network by a recipe and saves it, calibrated on the images it was trained on."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from bnnhw.compiler.ir import Graph
from bnnhw.errors import BnnhwError
from bnnhw.models.catalogue import recipe_names

Progress = Callable[[str, int, int], None]


def train(
    recipe: str,
    out: str | Path | None = None,
    *,
    data: Sequence[str] = (),
    seed: int = 1,
    epochs: int | None = None,
    rate: float | None = None,
    progress: Progress | None = None,
    teacher: str | Path | None = None,
    start: str | Path | None = None,
    fine: bool = False,
    keep: bool = False,
) -> Graph:
    """Train the network of ``recipe`` and return it, saved to ``out`` where given. Needs torch.

    ``data``: data sets, all together, instead of the recipe's own. Same seed, data, device, number of threads and
    versions of torch and NumPy give the same network. ``epochs`` and ``rate`` override the recipe's numbers.
    ``teacher``: a network of the same images and classes (a name or a .bnn file) whose scores are learned instead of
    the labels, or beside them where the recipe says so. ``start``: what this one begins with, the state of another
    training of the recipe or a network of the same operations (a name or a .bnn file); ``fine``: tune that, all steps
    are as the recipe's last; ``keep``: leave the state beside ``out`` at the end, too, so that another training can
    begin with it.
    ``progress(stage, done, total)`` is called every few steps. With ``out``, an interrupted training leaves its state
    in a file beside it and goes on from there when it is called again.

    Raises BnnhwError: unknown recipe, bad number of epochs or rate, data, teacher or start that do not fit, torch
    missing, a state of another training.
    """
    if recipe not in recipe_names():
        raise BnnhwError(f"recipe must be one of {', '.join(recipe_names())}, not '{recipe}'")
    if epochs is not None and epochs < 1:
        raise BnnhwError(f"epochs must be at least 1, not {epochs}")
    if fine and start is None:
        raise BnnhwError("fine needs a start: a state or a network to tune")
    if rate is not None and not 0 < rate < math.inf:
        raise BnnhwError(f"rate must be above 0 and finite, not {rate}")
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise BnnhwError(f"the folder of {out} must exist, and does not")
    try:
        module = importlib.import_module(f"bnnhw.models.recipes.{recipe}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BnnhwError("training needs torch: pip install 'bnnhw[torch]'") from None
    from bnnhw.models.training.run import run

    target = None if out is None else Path(out)
    return run(module.RECIPE, data, target, seed, epochs, progress, teacher, start, keep, rate, fine)
