"""``bnnhw explore``: array shapes for a network on a board, with exact cycles and estimated resources."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from bnnhw.cli.options import BOARD, CLOCK, COUNT, JSON, MODEL
from bnnhw.cli.output import print_json, print_table
from bnnhw.cli.progress import Stages
from bnnhw.errors import BnnhwError, DoesNotFitError

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Shape

Numbers = tuple[int, ...]


class NumbersType(click.ParamType):  # type: ignore[type-arg]  # generic for newer click only
    """Whole numbers separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Numbers:
        parts = str(value).split(",")
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"must be whole numbers from 1 on, separated by commas, not '{value}'", param, ctx)
        return tuple(map(int, parts))


def _numbers(name: str, default: str, text: str) -> Any:
    return click.option(f"--{name}", type=NumbersType(), default=default, show_default=True, metavar="N,...", help=text)


@click.command()
@MODEL
@BOARD
@_numbers("rows", "4,8,14,16", "Array rows to try.")
@_numbers("cols", "8,16,32", "Array columns to try.")
@_numbers("depth", "16,32,64", "Array depths to try.")
@_numbers("lanes", "8,16", "Post-processing lanes to try.")
@click.option("--most", type=COUNT, default=8192, show_default=True, help="MACs a cycle of the largest array.")
@CLOCK
@JSON
def explore(
    model: str,
    board: str,
    rows: Numbers,
    cols: Numbers,
    depth: Numbers,
    lanes: Numbers,
    most: int,
    clock: float,
    as_json: bool,
) -> None:
    """Plan the network on every combination and list those that fit, the fastest first.

    Combinations that are no shape (lanes must divide columns and depth) are left out.
    """
    from bnnhw import boards, models
    from bnnhw.compiler.lower import lower
    from bnnhw.compiler.plan import Limits, plan, resources

    stages = Stages()
    chip = boards.get(board).resources
    limits = Limits(lut4=chip.lut4, bram18k=chip.bram, dsp=chip.dsp)
    network = lower(models.load(model))
    shapes = list(_shapes(rows, cols, depth, lanes, most))
    if not shapes:
        raise BnnhwError(f"rows, cols, depth and lanes must allow a shape of at most {most} MACs a cycle, and do not")
    found = []
    reason = ""
    with stages.stage("explore") as step:
        for index, shape in enumerate(shapes):
            step(str(shape), index, len(shapes))
            try:
                planned = plan(network, limits, shape)
            except DoesNotFitError as error:
                reason = str(error)
                continue
            need, cycles = resources(planned), planned.cost.frame
            ideal = sum(map(network.ace, network.layers)) / planned.engine.ace_per_cycle
            found.append(
                shape.numbers
                | {"cycles": cycles, "fps": round(clock * 1e6 / cycles, 1), "utilisation": round(ideal / cycles, 4)}
                | {"lut4": need.lut4, "bram": need.bram18k, "dsp": need.dsp}
            )
    if not found:
        raise DoesNotFitError(f"none of {len(shapes)} shapes fits {board}; the last: {reason}")
    found.sort(key=lambda row: (row["cycles"], row["lut4"], row["rows"]))
    if as_json:
        print_json(found)
        return
    stages.note(f"{len(found)} of {len(shapes)} shapes fit {board}; LUT4, block RAMs and multipliers are estimates")
    columns = [f">{name}" for name in found[0]]
    print_table(columns, ([f"{value:,}" for value in row.values()] for row in found))


def _shapes(rows: Numbers, cols: Numbers, depth: Numbers, lanes: Numbers, most: int) -> Iterator[Shape]:
    """Combinations that are shapes; a quarter of the columns' weights is loaded a cycle."""
    from bnnhw.compiler.plan import Shape

    for r, c, d, n in product(rows, cols, depth, lanes):
        if r * c * d <= most and c % n == 0 and d % n == 0:
            yield Shape(r, c, d, n, c // 4 if c % 4 == 0 else c)
