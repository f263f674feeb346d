"""From options to a planned network and images to run through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from bnnhw.cli.progress import Stages

if TYPE_CHECKING:
    from bnnhw.boards import Board
    from bnnhw.compiler.ir import Graph
    from bnnhw.compiler.plan import Limits, Plan, Shape
    from bnnhw.models.data import Data
    from bnnhw.spec.network import Network

TEST_DATA = {"snn_digits": "digits"}
"""Held-out data that every installation has, by the network it belongs to."""
SEED = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network in float and integer form, and its plan on a board."""

    model: str
    board: Board
    graph: Graph
    network: Network
    plan: Plan


def compile_model(
    model: str,
    board: str,
    shape: Shape | None,
    fps: float,
    stages: Stages,
    clock: float = 100.0,
    check: bool = True,
) -> Prepared:
    """Load, lower and plan; ``shape`` None lets the planner choose one for ``fps`` at ``clock`` MHz.

    Without ``check`` a given shape that does not fit the board is only noted.
    """
    from bnnhw import boards, models
    from bnnhw.compiler.lower import lower
    from bnnhw.compiler.plan import plan, resources

    target = boards.get(board)
    graph = models.load(model)
    with stages.stage("compile"):
        network = lower(graph)
        limits = limits_of(target)
        hertz = Fraction(str(clock)) * 1_000_000
        setup = target.sdram_setup(hertz)
        planned = plan(network, limits, shape, enough=int(hertz / Fraction(fps)), sdram=setup, check=check)
    over = resources(planned).over(limits)
    if over is not None:
        stages.note(f"this shape does not fit {board}: {over[1]} {over[0]}, and there are {over[2]}")
    return Prepared(model, target, graph, network, planned)


def limits_of(board: Board) -> Limits:
    """What an engine may use of a board."""
    from bnnhw.compiler.plan import Limits

    found = board.resources
    return Limits(lut4=found.lut4, bram18k=found.bram, dsp=found.dsp)


def labelled_data(graph: Graph, data: str | None, count: int | None = None) -> Data | None:
    """Up to ``count`` images of the data set named, else of the one that comes with the network, else None."""
    from bnnhw.models import data as sets

    name = data or TEST_DATA.get(str(graph.meta.get("name", "")))
    channels, height, width = graph.shapes()[graph.input.name]
    return None if name is None else sets.load(name, (height, width, channels), count)


def images_for(graph: Graph, data: str | None, files: Sequence[str], count: int | None, stages: Stages) -> Data:
    """Up to ``count`` images: the files, the data set, the network's own data, or random pixels (labels -1)."""
    from bnnhw.models import data as sets

    shape = graph.shapes()[graph.input.name]
    if files:
        images = sets.load_images(files, (shape[1], shape[2], shape[0]))
        found = sets.Data(images, np.full(len(images), -1, np.int64), ", ".join(files))
    else:
        labelled = labelled_data(graph, data, count)
        if labelled is None:
            stages.note(f"no data given: random images {shape[1]}x{shape[2]}x{shape[0]}, seed {SEED}")
            random = np.random.default_rng(SEED)
            images = random.integers(0, 256, (count or 1, shape[1], shape[2], shape[0]), np.uint8)
            return sets.Data(images, np.full(len(images), -1, np.int64), "random")
        found = labelled
    return found if count is None else found.first(count)
