"""``bnnhw sim``: run images on a model of the hardware and compare with the golden model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bnnhw.cli.compare import LEVELS, compare
from bnnhw.cli.options import COUNT, DATA, DEFAULT_BOARD, FPS, JSON, MODEL, SHAPE
from bnnhw.cli.output import print_facts, print_json
from bnnhw.cli.prepare import compile_model, images_for
from bnnhw.cli.progress import Stages

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Shape


@click.command()
@MODEL
@click.option("--image", "images", multiple=True, metavar="F", help="An image file; may be given often.")
@DATA
@click.option("--level", type=click.Choice(LEVELS), default="machine", show_default=True, help="What to run.")
@click.option("--count", type=COUNT, help="At most so many images of the data.")
@DEFAULT_BOARD
@SHAPE
@FPS
@JSON
def sim(
    model: str,
    images: tuple[str, ...],
    data: str | None,
    level: str,
    count: int | None,
    board: str,
    shape: Shape | None,
    fps: float,
    as_json: bool,
) -> int:
    """Run images on a model of the hardware and compare every score with the golden model.

    golden: the integer network in NumPy. machine: executes schedule and memory images. rtl: the generated circuit in
    Verilator, with cycles. Ends with 1 when a score or a number of cycles differs.
    """
    stages = Stages()
    if images and data:
        raise click.UsageError("--image and --data must not be given together")
    prepared = compile_model(model, board, shape, fps, stages, check=False)
    found = images_for(prepared.graph, data, images, count, stages)
    with stages.stage(f"simulate ({level})"):
        result = compare(prepared, found.images, level)
    if as_json:
        print_json(result.as_json())
    else:
        classes = prepared.network.classes
        if images:
            for name, scores in zip(images, result.scores, strict=False):
                best = int(scores.argmax())
                print_facts([(name, f"{classes[best] if classes else best}   scores {' '.join(map(str, scores))}")])
        print_facts(
            [
                ("level", result.level),
                ("images", f"{result.count} of {found.name}"),
                ("scores that differ", result.mismatches),
                ("cycles predicted", f"{result.predicted:,}"),
                ("cycles simulated", "-" if result.simulated is None else f"{result.simulated:,}"),
                ("seconds", f"{result.seconds:.1f}"),
            ]
        )
    if result.where:
        stages.note(f"first difference: {result.where}")
    return 0 if result.good else 1
