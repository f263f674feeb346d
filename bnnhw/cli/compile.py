"""``bnnhw compile``: schedule, memory images and predicted cycles, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnnhw.cli.measure import layer_costs
from bnnhw.cli.options import BOARD, FPS, JSON, MODEL, SHAPE, out_folder
from bnnhw.cli.output import print_facts, print_json, print_table, whole_folder
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.program import write_program
from bnnhw.cli.progress import Stages

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Shape


@click.command()
@MODEL
@BOARD
@SHAPE
@FPS
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Instead of build/<model>-<board>-compile.")
@JSON
def compile(model: str, board: str, shape: Shape | None, fps: float, out: Path | None, as_json: bool) -> None:
    """Write program.json and weights.bin, and tell the cycles that the engine will take."""
    stages = Stages()
    prepared = compile_model(model, board, shape, fps, stages)
    target = out or out_folder(model, board, "-compile")
    with whole_folder(target) as folder:
        write_program(prepared, folder)
    chosen, layers = prepared.plan.shape.numbers, layer_costs(prepared)
    cycles = prepared.plan.cost.frame
    ideal = sum(layer.ideal for layer in layers)
    if as_json:
        rows = [
            {"name": layer.name, "cycles": layer.cycles, "ideal": layer.ideal, "losses": dict(layer.losses)}
            for layer in layers
        ]
        print_json({"path": str(target), "array": chosen, "cycles": {"predicted": cycles}, "layers": rows})
        return
    columns = ("layer", ">ACE", ">ideal", ">cycles", "largest loss")
    print_table(
        columns,
        (
            (layer.name, f"{layer.ace:,}", f"{layer.ideal:,.0f}", f"{layer.cycles:,}", _largest(layer.losses))
            for layer in layers
        ),
    )
    print_facts(
        [
            ("array", " ".join(f"{name} {value}" for name, value in chosen.items())),
            ("cycles a frame", f"{cycles:,}  ({ideal / cycles:.1%} ideal)"),
            ("program", target),
        ]
    )


def _largest(losses: Mapping[str, float]) -> str:
    name, cycles = max(losses.items(), key=lambda item: item[1], default=("", 0))
    return f"{name} {cycles:,.0f}" if cycles else ""
