"""``bnnhw explore``: array shapes for a network on a board, with exact cycles and estimated resources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from bnnhw.cli.measure import report_inputs
from bnnhw.cli.options import BOARD, CLOCK, COUNT, JSON, MODEL
from bnnhw.cli.output import print_json, print_table
from bnnhw.cli.prepare import Prepared, limits_of
from bnnhw.cli.progress import Stages
from bnnhw.errors import BnnhwError, DoesNotFitError
from bnnhw.report import build_report

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Analysis, Limits, Shape
    from bnnhw.spec.sdram import SdramSetup

Numbers = tuple[int, ...]


class NumbersType(click.ParamType):  # type: ignore[type-arg]  # generic for newer click only
    """Whole numbers from ``least`` on, separated by commas."""

    name = "numbers"

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Numbers:
        parts = str(value).split(",")
        if not all(part.isdecimal() and int(part) >= self.least for part in parts):
            self.fail(f"must be whole numbers from {self.least} on, separated by commas, not '{value}'", param, ctx)
        return tuple(map(int, parts))


def _numbers(name: str, default: str, text: str) -> Any:
    return click.option(f"--{name}", type=NumbersType(), default=default, show_default=True, metavar="N,...", help=text)


@dataclass(frozen=True)
class Sizes:
    """Numbers to combine; ``front`` None: 0 and what the network needs. ``most``: MACs a cycle of the largest array."""

    rows: Numbers
    cols: Numbers
    depth: Numbers
    lanes: Numbers
    front: Numbers | None
    most: int


@click.command()
@MODEL
@BOARD
@_numbers("rows", "4,8,14,16", "Array rows to try.")
@_numbers("cols", "8,16,32", "Array columns to try.")
@_numbers("depth", "16,32,64", "Array depths to try.")
@_numbers("lanes", "8,16", "Post-processing lanes to try.")
@click.option(
    "--front",
    type=NumbersType(0),
    metavar="N,...",
    help="Channels at once of the front unit to try, 0 for none.  [default: 0 and what the network needs]",
)
@click.option("--most", type=COUNT, default=8192, show_default=True, help="MACs a cycle of the largest array.")
@CLOCK
@JSON
def explore(model: str, board: str, clock: float, as_json: bool, **sizes: Any) -> None:
    """Plan the network on every combination and list those that fit, the fastest first.

    Weights come from the board's SDRAM where `build` would take them from there. Combinations that are no shape (lanes
    must divide columns, depth and front) are left out.
    """
    from bnnhw import boards, models
    from bnnhw.compiler.lower import lower
    from bnnhw.compiler.plan import analyse, large, plan, resources

    stages = Stages()
    target = boards.get(board)
    limits, sdram = limits_of(target), target.sdram_setup(Fraction(str(clock)) * 1_000_000)
    graph = models.load(model)
    network = lower(graph)
    shapes = list(_shapes(Sizes(**sizes), analyse(network), limits, sdram if large(network, limits) else None))
    if not shapes:
        raise BnnhwError(
            f"rows, cols, depth, lanes and front must allow a shape of at most {sizes['most']} MACs a cycle, and do not"
        )
    found = []
    reason = ""
    with stages.stage("explore") as step:
        for index, shape in enumerate(shapes):
            step(str(shape), index, len(shapes))
            try:
                planned = plan(network, limits, shape, sdram=sdram)
            except BnnhwError as error:  # of this shape: the network was analysed above
                reason = str(error)
                continue
            need = resources(planned)
            prepared = Prepared(model, target, graph, network, planned)
            report = build_report(report_inputs(prepared, None, clock, command="bnnhw explore"))
            found.append(
                shape.numbers
                | {"cycles": planned.cost.frame, "fps": round(report["fps"], 1)}
                | {"utilisation": round(report["utilisation"], 4)}
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


def _shapes(sizes: Sizes, found: Analysis, limits: Limits, external: SdramSetup | None) -> Iterator[Shape]:
    """Combinations that are shapes; weights are loaded as narrow as the external memory's bits come, or else of a
    quarter of the columns a cycle."""
    from bnnhw.compiler.plan import Shape, fetches, front_columns

    for r, c, d, n in product(sizes.rows, sizes.cols, sizes.depth, sizes.lanes):
        if r * c * d > sizes.most or c % n or d % n:
            continue
        for front in sizes.front or dict.fromkeys((0, front_columns(found, limits, n))):
            if front % n or front == 1:
                continue
            wide = list(fetches(found, Shape(r, c, d, n, c, front), external))
            yield from [shape for shape in wide if external is not None or 4 * shape.fetch >= c][-1:]
