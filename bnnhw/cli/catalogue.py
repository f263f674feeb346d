"""``bnnhw models`` and ``bnnhw boards``: what there is."""

from __future__ import annotations

from typing import Any

import click

from bnnhw.cli.options import CLOCK, FPS, JSON
from bnnhw.cli.output import print_json, print_table
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.progress import Stages
from bnnhw.errors import DoesNotFitError, UnsteadyError, UnsupportedError


@click.command()
@click.option("--board", "-b", metavar="B", help="Plan each network on this board and tell cycles and frames a second.")
@FPS
@CLOCK
@JSON
def models(board: str | None, fps: float, clock: float, as_json: bool) -> None:
    """List the shipped networks.

    macs: multiply-accumulates an image; ace: the same times weight bits times activation bits; ace_paper: with 256 for
    each product that the paper leaves in floating point; ace_engine: with each convolution as often as the engine
    computes it; weight_bits: bits of all stored weights. With a board: predicted cycles of a frame, or why there are
    none. As JSON also binary_macs, binary_weights: of binary layers; bit_ops: as SNN counts them; ops: binary_macs / 64
    and the rest.
    """
    from bnnhw import models as catalogue

    stages, found = Stages(), []
    for name in catalogue.names():
        info = catalogue.info(catalogue.load(name), name)
        found.append((info, {} if board is None else _on_board(name, board, fps, clock, stages)))
    if as_json:
        print_json([info.flat() | extra for info, extra in found])
        return
    columns = ["name", "input", ">MACs", ">ACE", ">ACE (paper)", ">ACE (engine)", ">weight bits", "weights", "paper"]
    columns += [">cycles", ">frames/s"] if board is not None else []
    rows = []
    for info, extra in found:
        cost = info.cost
        figures = (cost.macs, cost.ace, cost.ace_paper, cost.ace_engine, cost.weight_bits)
        row = [info.name, "x".join(map(str, info.input)), *(f"{n:,}" for n in figures), info.trained, info.paper]
        if board is not None:
            cycles, rate = extra["cycles"], extra["fps"]
            row += ["-", "-"] if cycles is None else [f"{cycles:,}", f"{rate:,.1f}"]
        rows.append(row)
    print_table(columns, rows)


def _on_board(name: str, board: str, fps: float, clock: float, stages: Stages) -> dict[str, Any]:
    """Predicted cycles and frames a second at ``clock`` MHz; or None for both, and in ``why`` the reason."""
    try:
        cycles = compile_model(name, board, None, fps, stages, clock).plan.cost.frame
    except (DoesNotFitError, UnsupportedError, UnsteadyError) as error:
        stages.note(f"{name}: {error}")
        return {"cycles": None, "fps": None, "why": str(error)}
    return {"cycles": cycles, "fps": clock * 1e6 / cycles}


@click.command()
@JSON
def boards(as_json: bool) -> None:
    """List the boards and what their chips have."""
    from bnnhw import boards as catalogue

    found = [catalogue.get(name) for name in catalogue.names()]
    if as_json:
        print_json([{"name": b.name, "title": b.title, "resources": dict(b.resources.items())} for b in found])
        return
    columns = ("name", "board", ">LUT4", ">flip-flops", ">block RAMs", ">multipliers")
    print_table(columns, ((b.name, b.title, *(f"{count:,}" for _, count in b.resources.items())) for b in found))
