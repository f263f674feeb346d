"""Trains a network by a recipe and saves it, calibrated on the images it was trained on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from bnnhw.compiler.ir import Graph
from bnnhw.compiler.ir.file import save
from bnnhw.errors import BnnhwError
from bnnhw.models.catalogue import recipes

Progress = Callable[[str, int, int], None]


def train(
    recipe: str,
    out: str | Path | None = None,
    *,
    seed: int = 1,
    epochs: int | None = None,
    progress: Progress | None = None,
) -> Graph:
    """Train the network of ``recipe`` and return it, saved to ``out`` where given. Needs torch.

    Same seed and same versions of torch and NumPy give the same network. ``epochs`` overrides the recipe's number.
    ``progress(stage, done, total)`` is called after every epoch.

    Raises BnnhwError: unknown recipe, bad number of epochs, torch missing.
    """
    if recipe not in recipes():
        raise BnnhwError(f"recipe must be one of {', '.join(recipes())}, not '{recipe}'")
    if epochs is not None and epochs < 1:
        raise BnnhwError(f"epochs must be at least 1, not {epochs}")
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise BnnhwError(f"the folder of {out} must exist, and does not")
    try:
        module = importlib.import_module(f"bnnhw.models.recipes.{recipe}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BnnhwError("training needs torch: pip install 'bnnhw[torch]'") from None
    graph: Graph = module.train(seed=seed, epochs=epochs or module.EPOCHS, progress=progress)
    if out is not None:
        save(graph, out)
    return graph
