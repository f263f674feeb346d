"""The five papers on one engine: a network of each, built for the same board, with accuracy and what the hardware took.

    python benchmarks/five_papers.py --data CIFAR [--model M ...] [--board ulx3s] [--out build/five_papers]
    python benchmarks/five_papers.py --predicted

The first builds every network that has no report of the same network in ``--out`` yet (up to half an hour each), and
runs the images through the float and the integer network. The second only compiles: cycles, and no resources. Both
print one Markdown table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnnhw import cli, models
from bnnhw.cli.evaluate import accuracy
from bnnhw.cli.measure import report_inputs
from bnnhw.cli.output import print_markdown
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.progress import Stages
from bnnhw.compiler.ir import Graph
from bnnhw.errors import BnnhwError
from bnnhw.models import data as sets
from bnnhw.report import build_report, check_report

NAMES = ("adabin_r20", "snn_r20", "dwr_r20", "ftbnn_r20", "pokebnn_cifar")
COLUMNS = (
    "network",
    ">float",
    ">integer",
    ">weight bits",
    ">ACE",
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


def built(name: str, graph: Graph, arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of a build, from an earlier one where that was of the same network."""
    folder = arguments.out / name
    path = folder / "report.json"
    if path.exists():
        report = check_report(json.loads(path.read_text()))
        if report["weights"] == graph.meta.get("weights", "untrained") and report["board"] == arguments.board:
            return report
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = ["--data", arguments.data] if arguments.data else []
    if cli.main(["build", "--model", name, "--board", arguments.board, "--out", str(folder), *options]):
        raise BnnhwError("it must be possible to build it, and is not")
    return check_report(json.loads(path.read_text()))


def predicted(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """A report without place and route."""
    prepared = compile_model(name, arguments.board, None, arguments.fps, Stages(), 100.0)
    return build_report(report_inputs(prepared, None, 100.0, command="benchmarks/five_papers.py"))


def row(name: str, arguments: argparse.Namespace) -> list[str]:
    """A network in the columns of COLUMNS."""
    if name not in models.names() and not Path(name).exists():
        raise BnnhwError("no network of this name comes with the package yet")
    graph = models.load(name)
    report = predicted(name, arguments) if arguments.predicted else built(name, graph, arguments)
    shares = ["-", "-"]
    if arguments.data:
        channels, height, width = graph.shapes()[graph.input.name]
        found = accuracy(graph, sets.load(arguments.data, (height, width, channels)), Stages())
        shares = ["-" if share is None else f"{share:.2%}" for share in (found["torch_accuracy"], found["accuracy"])]
    used = report["resources"]
    return [
        name,
        *shares,
        f"{report['weight_bits']:,}",
        f"{report['ace']['total']:,}",
        f"{report['cycles']['predicted']:,}",
        f"{report['utilisation']:.1%}",
        f"{report['fps']:,.0f}",
        *("-" if used is None else f"{used[kind]['used']:,}" for kind in ("lut4", "bram", "dsp")),
        "-" if report["fmax_mhz"] is None else f"{report['fmax_mhz']:.1f}",
        f"{report['memory']['loaded_bytes']:,}",
        report["weights"],
    ]


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="*", help="other networks than one of each paper")
    parser.add_argument("--data", help="labelled images, as for bnnhw eval")
    parser.add_argument("--board", default="ulx3s")
    parser.add_argument("--fps", type=float, default=3000.0, help="frames a second that are enough (--predicted)")
    parser.add_argument("--out", type=Path, default=Path("build/five_papers"), help="folder of the builds")
    parser.add_argument("--predicted", action="store_true", help="compile only")
    arguments = parser.parse_args(given)
    rows = []
    for name in arguments.model or NAMES:
        try:
            rows.append(row(name, arguments))
        except BnnhwError as error:
            rows.append([name, *["-"] * (len(COLUMNS) - 2), str(error)])
    print_markdown(COLUMNS, rows)
    return 0 if all(line[1:-1] != ["-"] * (len(COLUMNS) - 2) for line in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
