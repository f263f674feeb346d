"""``bnnhw train`` and ``bnnhw import``: ways to get a saved network; both need torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnnhw.cli.options import COUNT, DATA_HELP, JSON
from bnnhw.cli.output import check_folder_of, print_facts, print_json
from bnnhw.cli.progress import Stages

if TYPE_CHECKING:
    from bnnhw.compiler.ir import Graph

OUT = click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), metavar="F.bnn", help="File to write."
)


@click.command()
@click.argument("recipe")
@OUT
@click.option("--data", multiple=True, metavar="D", help=f"Images to train on; may be given again. {DATA_HELP}")
@click.option("--seed", default=1, show_default=True, help="Same seed and versions, same network.")
@click.option("--epochs", type=COUNT, help="Instead of the recipe's number.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="R",
    help="Highest learning rate, instead of the recipe's.",
)
@click.option("--teacher", metavar="T", help="A network (name or .bnn file) whose scores are learned, not the labels.")
@click.option(
    "--start",
    metavar="S",
    help="What this training begins with: a state of another (S.state), or a network (name or .bnn file).",
)
@click.option(
    "--fine",
    is_flag=True,
    help="Tune what --start begins with: sharp gradients, codebooks as they are; goes with a small --rate.",
)
@click.option("--keep-state", is_flag=True, help="Leave F.bnn.state at the end, for another training to begin with.")
@JSON
def train(
    recipe: str,
    out: Path,
    data: tuple[str, ...],
    seed: int,
    epochs: int | None,
    rate: float | None,
    teacher: str | None,
    start: str | None,
    fine: bool,
    keep_state: bool,
    as_json: bool,
) -> None:
    """Train the network of RECIPE and save it.

    An interrupted training leaves F.bnn.state; the same command goes on from there.
    """
    from bnnhw import models

    check_folder_of(out)
    stages = Stages()
    with stages.stage("train") as step:
        graph = models.train(
            recipe,
            out,
            data=data,
            seed=seed,
            epochs=epochs,
            rate=rate,
            progress=step,
            teacher=teacher,
            start=start,
            fine=fine,
            keep=keep_state,
        )
    if os.environ.get("RANK", "0") == "0":  # of several processes that train together one tells
        _tell(graph, out, as_json)


@click.command("import")
@click.argument("src")
@click.option("--arch", required=True, metavar="A", help="Architecture that the checkpoint belongs to.")
@OUT
@click.option("--calibrate", metavar="D", help=f"Choose fixed-point ranges on these images. {DATA_HELP}")
@click.option("--count", type=COUNT, default=500, show_default=True, help="Images to calibrate on.")
@JSON
def import_(src: str, arch: str, out: Path, calibrate: str | None, count: int, as_json: bool) -> None:
    """Turn the official checkpoint SRC into a saved network."""
    from bnnhw.compiler.frontend import import_checkpoint
    from bnnhw.compiler.ir.file import save

    check_folder_of(out)
    stages = Stages()
    with stages.stage("import"):
        graph = import_checkpoint(src, arch)
    for line in graph.meta.get("notices", ()):
        stages.note(str(line))
    if calibrate is not None:
        from bnnhw.compiler.calibrate import calibrate as choose_ranges
        from bnnhw.models import data

        with stages.stage("calibrate"):
            channels, height, width = graph.shapes()[graph.input.name]
            graph = choose_ranges(graph, data.load(calibrate, (height, width, channels), count).images)
    save(graph, out)
    _tell(graph, out, as_json)


def _tell(graph: Graph, out: Path, as_json: bool) -> None:
    from bnnhw import models

    info = models.info(graph)
    if as_json:
        print_json(info.flat() | {"path": str(out)})
        return
    cost = info.cost
    facts = [("network", info.name), ("weights", info.trained), ("MACs", f"{cost.macs:,}"), ("ACE", f"{cost.ace:,}")]
    print_facts([*facts, ("weight bits", f"{cost.weight_bits:,}"), ("saved", out)])
