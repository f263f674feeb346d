"""The five papers on one engine: a network of each, built for the same board, with accuracy and what the hardware took.

    python benchmarks/five_papers.py --data CIFAR [--model M ...] [--board ulx3s] [--out build/five_papers]
    python benchmarks/five_papers.py --predicted

The first builds every network that has no build of the same program in ``--out`` yet (up to half an hour each), and
runs the images through the float and the integer network. The second only compiles: cycles, and no resources. Both
print two Markdown tables, figures and what the cycles of a frame went to; what the builds say goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnnhw import cli
from bnnhw.cli.app import EXIT_INTERRUPTED
from bnnhw.cli.evaluate import accuracy
from bnnhw.cli.measure import report_inputs
from bnnhw.cli.output import print_markdown
from bnnhw.cli.prepare import Prepared, compile_model
from bnnhw.cli.program import program, read_program
from bnnhw.cli.progress import Stages
from bnnhw.errors import BnnhwError
from bnnhw.models import data as sets
from bnnhw.report import build_report, read_report

NAMES = ("adabin_r20", "snn_r20", "dwr_r20", "ftbnn_r20", "pokebnn_cifar")
CLOCK = 100.0
"""MHz of the builds."""
IMAGES = 8
"""Images that each build simulates."""
COLUMNS = (
    "network",
    ">float",
    ">integer",
    ">weight bits",
    ">ACE",
    "array",
    ">cycles",
    ">utilisation",
    ">frames/s",
    ">LUT4",
    ">block RAM",
    ">multipliers",
    ">MHz",
    ">SDRAM bytes a frame",
    "weights",
)
SHARES = {
    "array's shape": ("rows", "columns", "depth"),
    "pooling": ("pool",),
    "lanes": ("post",),
    "weights": ("weights",),
    "parameters": ("params",),
    "between layers": ("layer", "pass_"),
    "front unit": ("front",),
    "spilled maps": ("spill",),
}
"""What cycles of a frame went to beside products of the array, with the losses in each part."""


def built(name: str, prepared: Prepared, arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of a build, an earlier one where that was of the same program for the same board."""
    folder = arguments.out / Path(name).stem
    try:
        report = read_report(folder / "report.json")
        if (read_program(folder / "program.json")["build"], report["board"]) == (
            program(prepared)["build"],
            arguments.board,
        ):
            return report
    except BnnhwError:  # none, or a damaged one: it is made again
        pass
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = ["--data", arguments.data] if arguments.data else []
    command = ["build", "--model", name, "--board", arguments.board, "--fps", f"{arguments.fps:g}"]
    command += ["--count", str(IMAGES)]
    with contextlib.redirect_stdout(sys.stderr):
        status = cli.main([*command, "--out", str(folder), *options])
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise BnnhwError(f"build of {name} must succeed, and ended with {status}")
    return read_report(folder / "report.json")


def rows(name: str, arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """A network in the columns of COLUMNS, and what its cycles went to: products, SHARES, and the first layer alone."""
    prepared = compile_model(name, arguments.board, None, arguments.fps, Stages())
    if arguments.predicted:
        report = build_report(report_inputs(prepared, None, CLOCK, command="benchmarks/five_papers.py"))
    else:
        report = built(name, prepared, arguments)
    accuracies = ["-", "-"]
    if arguments.data:
        channels, height, width = prepared.graph.shapes()[prepared.graph.input.name]
        found = accuracy(prepared.graph, sets.load(arguments.data, (height, width, channels)), Stages())
        both = (found["torch_accuracy"], found["accuracy"])
        accuracies = ["-" if share is None else f"{share:.2%}" for share in both]
    used = report["resources"]
    figures = [
        name,
        *accuracies,
        f"{report['weight_bits']:,}",
        f"{report['ace']['total']:,}",
        "x".join(str(report["array"][side]) for side in ("rows", "cols", "depth")),
        f"{report['cycles']['predicted']:,}",
        f"{report['utilisation']:.1%}",
        f"{report['fps']:,.0f}",
        *("-" if used is None else f"{used[kind]['used']:,}" for kind in ("lut4", "bram", "dsp")),
        "-" if report["fmax_mhz"] is None else f"{report['fmax_mhz']:.1f}",
        f"{report['bytes_moved']:,}" if report["memory"]["name"] == "SDRAM" else "-",
        report["weights"],
    ]
    cycles, losses = report["cycles"]["predicted"], report["losses"]
    lost = [sum(losses[loss] for loss in names) for names in SHARES.values()]
    first = report["layers"][0]["cycles"]["predicted"]
    return figures, [name, *(f"{count / cycles:.1%}" for count in (cycles - sum(losses.values()), *lost, first))]


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="*", action="extend", help="other networks than one of each paper")
    parser.add_argument("--data", help="labelled images, as for bnnhw eval")
    parser.add_argument("--board", default="ulx3s")
    parser.add_argument("--fps", type=float, default=3000.0, help="frames a second that are enough")
    parser.add_argument("--out", type=Path, default=Path("build/five_papers"), help="folder of the builds")
    parser.add_argument("--predicted", action="store_true", help="compile only")
    arguments = parser.parse_args(given)
    figures, shares, failed = [], [], False
    for name in arguments.model or NAMES:
        try:
            of_figures, of_shares = rows(name, arguments)
            shares.append(of_shares)
        except BnnhwError as error:
            of_figures = [name, *["-"] * (len(COLUMNS) - 2), str(error)]
            failed = True
        figures.append(of_figures)
    print_markdown(COLUMNS, figures)
    print()
    parts = ("products", *SHARES, "first layer alone")
    print_markdown(("cycles of a frame", *(f">{part}" for part in parts)), shares)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
