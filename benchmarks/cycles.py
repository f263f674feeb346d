"""Cycles against ACE and roofline, for every shipped network on a board with the shape that the planner chooses.

    python benchmarks/cycles.py [--model M ...] [--board ulx3s] [--clock 100] [--fps 3000]
    python benchmarks/cycles.py --layers M

The first prints a row a network, the second a row a layer of one network with all its losses; both as Markdown. Cycles
are those of the cost model, which simulations reproduce exactly. Compute and memory: the two roofs (`bnnhw.report`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction

from bnnhw import boards, models
from bnnhw.cli.measure import report_inputs
from bnnhw.cli.output import print_markdown
from bnnhw.cli.prepare import Prepared, compile_model
from bnnhw.cli.progress import Stages
from bnnhw.compiler import losses
from bnnhw.errors import BnnhwError
from bnnhw.report import ReportInputs, Roofline, build_report, frame_roofline, layer_roofline

COLUMNS = (
    "network",
    "shape",
    ">ACE",
    ">ACE a cycle: array",
    ">front unit",
    ">bytes a frame",
    ">compute roof",
    ">memory roof",
    "bound",
    ">cycles",
    ">utilisation",
    ">frames/s",
    "largest loss",
)
LAYER_COLUMNS = ("layer", "unit", ">ACE", ">bytes", ">compute roof", ">memory roof", "bound", ">cycles", ">utilisation")


def inputs_of(model: str, arguments: argparse.Namespace) -> tuple[Prepared, ReportInputs]:
    """A network's plan on the board, and what a report would tell of it."""
    prepared = compile_model(model, arguments.board, None, arguments.fps, Stages(), arguments.clock)
    return prepared, report_inputs(prepared, None, arguments.clock, command="benchmarks/cycles.py")


def network_row(prepared: Prepared, inputs: ReportInputs) -> list[str]:
    """A network in the columns of COLUMNS."""
    report, roof = build_report(inputs), frame_roofline(inputs)
    name, cycles = max(report["losses"].items(), key=lambda item: item[1])
    ace, moved, *roofs = _work(report["ace"]["total"], report["bytes_moved"], roof)
    return [
        prepared.model,
        str(prepared.plan.shape),
        ace,
        f"{inputs.array.macs_per_cycle:,}",
        f"{inputs.front_ace:,}",
        moved,
        *roofs,
        f"{prepared.plan.cost.frame:,}",
        f"{report['utilisation']:.1%}",
        f"{report['fps']:,.1f}",
        f"{name} {cycles:,.0f}",
    ]


def networks(arguments: argparse.Namespace) -> None:
    """The table of networks; one that does not fit the board says why in its row."""
    chosen = arguments.model or models.names()
    for file in chosen:
        if file not in models.names():
            models.load(file)  # what is no network at all ends here
    rows = []
    for model in chosen:
        try:
            rows.append(network_row(*inputs_of(model, arguments)))
        except BnnhwError as error:
            rows.append([model, *["-"] * (len(COLUMNS) - 2), str(error)])
    print_markdown(COLUMNS, rows)


def layers(model: str, arguments: argparse.Namespace) -> None:
    """The table of a network's layers: ideal + all losses = cycles, of each layer and, in the last row, of all."""
    prepared, inputs = inputs_of(model, arguments)
    plan, report = prepared.plan, build_report(inputs)
    costs = losses.layer_costs(prepared.network, plan.engine, plan.cost, plan.layer_of_job)
    ideal, totals = _totals(costs)
    outside = sum(inputs.frame_losses.values())
    assert ideal + sum(totals.values()) + Fraction(outside) == plan.cost.frame, "the sums must be the frame's cycles"
    shown = [name for name, cycles in totals.items() if cycles]
    rows = []
    for layer, told, cost in zip(inputs.layers, report["layers"], costs, strict=True):
        assert cost.ideal + sum(cost.losses.values()) == cost.cycles, f"losses of {cost.name} must add up"
        work = _work(cost.ace, layer.bytes_moved, layer_roofline(layer, inputs))
        used = f"{told['utilisation']:.1%}" if cost.cycles else "beside"
        split = [number(value) for value in (cost.ideal, *(cost.losses[name] for name in shown))]
        rows.append([cost.name, layer.unit, *work, f"{cost.cycles:,}", used, *split])
    work = _work(report["ace"]["total"], report["bytes_moved"], frame_roofline(inputs))
    split = [number(value) for value in (ideal, *(totals[name] for name in shown))]
    rows.append(["sum", "", *work, f"{plan.cost.frame:,}", f"{report['utilisation']:.1%}", *split])
    print(f"{model} on {plan.shape}, {plan.cost.frame:,} cycles a frame\n")
    print_markdown([*LAYER_COLUMNS, ">ideal", *(f">{name}" for name in shown)], rows)
    if outside:
        print(f"\n{outside:,.0f} cycles of the frame belong to no layer.")
    if plan.engine.front is not None:
        print(f"\nThe front unit takes {plan.engine.front.cycles:,} cycles an image, beside the array.")


def _totals(costs: Sequence[losses.LayerCost]) -> tuple[Fraction, dict[str, Fraction]]:
    """Ideal cycles and losses by name of all layers."""
    named = {name: sum((cost.losses[name] for cost in costs), Fraction(0)) for name in losses.LOSSES}
    return sum((cost.ideal for cost in costs), Fraction(0)), named


def _work(ace: int, moved: int, roof: Roofline) -> list[str]:
    """What there is to do, and the roofs over it."""
    return [f"{ace:,}", f"{moved:,}", f"{roof.compute:,.0f}", f"{roof.memory:,.0f}", roof.bound]


def number(value: Fraction) -> str:
    """Cycles; a tenth is shown where they are not whole."""
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.1f}"


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", nargs="*", action="extend", help="shipped names or .bnn files, by default all shipped networks"
    )
    parser.add_argument("--layers", metavar="M", help="the layers of this network instead")
    parser.add_argument("--board", default="ulx3s")
    parser.add_argument("--clock", type=float, default=100.0, help="MHz")
    parser.add_argument("--fps", type=float, default=3000.0, help="frames a second that are enough")
    arguments = parser.parse_args(given)
    try:
        boards.get(arguments.board)
        if arguments.layers is None:
            networks(arguments)
        else:
            layers(arguments.layers, arguments)
    except BnnhwError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
