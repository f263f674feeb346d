"""Where a placed and routed design is slow: how many paths end late, and in which parts of it.

    python benchmarks/endpoints.py --model snn_digits [--shape RxCxDxLxFxN] [--above 9]
    python benchmarks/endpoints.py --timing build/snn_digits-ulx3s-endpoints/timing.json [--above 9]

The first synthesises, places and routes the whole design as a build does, from one seed and whatever clock comes out;
the second reads what nextpnr reported of an earlier one. An endpoint is a pin of a register, memory or multiplier; its
delay is that of the slowest path which ends there, setup time included.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

from bnnhw.boards.emit import for_board
from bnnhw.boards.flow import plan_blocks
from bnnhw.boards.layout import DEFAULT_OPTIONS, DENSE, PLANNED_OPTIONS, place_and_route
from bnnhw.boards.synthesis import synthesise
from bnnhw.cli.build import circuit
from bnnhw.cli.measure import array_path, lane_path
from bnnhw.cli.options import out_folder
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.progress import Stages
from bnnhw.compiler.plan import Shape
from bnnhw.errors import BnnhwError, FileFormatError

DETAILED = "--detailed-timing-report"
"""Makes nextpnr report every net's endpoints."""
FIRST_LIMIT = 7
"""ns of the first line that counts endpoints."""
CELL = re.compile(r"_(TRELLIS_[A-Z]+|LUT4|CCU2C|PFUMX|L6MUX21|DPR16X4C?|DP16KD|MULT18X18D)_[A-Z].*$")
"""What yosys adds to the name of a net for a cell that it makes there, and for all cells around that one."""
PACKED = re.compile(r"\$[A-Z].*$")
"""What nextpnr adds for a part of a cell."""


@dataclass(frozen=True)
class Endpoint:
    """Where paths end, with the latest arrival in ns and the net that arrives."""

    delay: float
    cell: str
    port: str
    net: str


@dataclass(frozen=True)
class Group:
    """Endpoints of a part of the design; ``worst`` is an example."""

    part: str
    count: int
    worst: Endpoint


def build(arguments: argparse.Namespace) -> Path:
    """The timing report of the design, placed and routed."""
    stages = Stages()
    shape = None if arguments.shape == "auto" else Shape.parse(arguments.shape)
    prepared = compile_model(
        arguments.model, arguments.board, shape, arguments.fps, stages, arguments.clock, check=False
    )
    board, keep = prepared.board, (array_path(prepared),)
    hertz = Fraction(str(arguments.clock)) * 1_000_000
    folder = arguments.out or out_folder(arguments.model, arguments.board, "-endpoints")
    with stages.stage("synthesise"):
        sources = for_board(circuit(prepared, 0, hertz), board, hertz)
        netlist = synthesise(sources, folder, keep=keep).netlist
        planned = plan_blocks(netlist, board, (lane_path(prepared),))
    dense = prepared.plan.engine.macs_per_cycle >= DENSE
    options = PLANNED_OPTIONS if planned and not dense else DEFAULT_OPTIONS
    with stages.stage("place and route"):
        place_and_route(netlist, sources.lpf, board, replace(options, extra=(*options.extra, DETAILED)), keep=keep)
    path: Path = folder / "timing.json"
    stages.note(f"timing report: {path}")
    return path


def read_endpoints(path: Path) -> list[Endpoint]:
    """Endpoints of paths between registers of one clock, the latest first. Raises FileFormatError."""
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise FileFormatError(f"timing report {path} must be a readable JSON file, and is not") from None
    try:
        found = [
            Endpoint(end["delay"][1], end["cell"], end["port"], net["net"])
            for net in report["detailed_net_timings"]
            for end in net["endpoints"]
            if end["event"] == net["event"] != "<async>"
        ]
    except (KeyError, TypeError):
        raise FileFormatError(
            f"timing report {path} must be one that nextpnr writes with {DETAILED}, and is not"
        ) from None
    return sorted(found, key=lambda end: (-end.delay, end.cell, end.port))


def signal_of(name: str) -> str:
    """The signal that a cell or net was made for: its name without what the tools added."""
    return PACKED.sub("", CELL.sub("", name))


def part_of(cell: str) -> str:
    """The part of the design that a cell belongs to: its signal, where numbers make no difference."""
    return re.sub(r"\d+", "#", signal_of(cell))


def group(found: Iterable[Endpoint], above: float) -> list[Group]:
    """Endpoints later than ``above`` ns by part, the part with the latest first."""
    parts: dict[str, list[Endpoint]] = {}
    for end in found:
        if end.delay > above:
            parts.setdefault(part_of(end.cell), []).append(end)
    groups = [Group(part, len(ends), max(ends, key=lambda end: end.delay)) for part, ends in parts.items()]
    return sorted(groups, key=lambda each: (-each.worst.delay, each.part))


def later_than(found: Sequence[Endpoint]) -> list[tuple[int, int]]:
    """(ns, endpoints that are later) from FIRST_LIMIT on, until there are none."""
    latest = max((end.delay for end in found), default=0.0)
    return [
        (limit, sum(end.delay > limit for end in found))
        for limit in range(FIRST_LIMIT, max(FIRST_LIMIT, ceil(latest)) + 1)
    ]


def tell(found: Sequence[Endpoint], above: float) -> None:
    """Print the counts, and the groups above the limit."""
    if not found:
        print("no endpoints")
        return
    print(f"{len(found):,} endpoints, the latest after {found[0].delay:.2f} ns ({1000 / found[0].delay:.1f} MHz)")
    for limit, count in later_than(found):
        print(f"later than {limit:2} ns {count:8,}")
    groups = group(found, above)
    print(f"\n{sum(each.count for each in groups):,} endpoints later than {above:g} ns, in {len(groups)} groups:")
    width = max((len(each.part) for each in groups), default=0)
    for each in groups:
        worst = each.worst
        print(
            f"{worst.delay:6.2f} ns {each.count:6,}  {each.part:<{width}}  {worst.cell}.{worst.port} "
            f"from {signal_of(worst.net)}"
        )


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="a shipped name or a .bnn file")
    source.add_argument("--timing", type=Path, help="timing.json of an earlier run")
    parser.add_argument("--above", type=float, default=9.0, help="ns; later endpoints are told by group")
    parser.add_argument("--shape", default="auto", help=Shape.NOTATION)
    parser.add_argument("--fps", type=float, default=3000.0, help="frames a second that are enough")
    parser.add_argument("--board", default="ulx3s")
    parser.add_argument("--clock", type=float, default=100.0, help="MHz")
    parser.add_argument("--out", type=Path, help="folder, instead of build/<model>-<board>-endpoints")
    arguments = parser.parse_args(given)
    try:
        tell(read_endpoints(arguments.timing or build(arguments)), arguments.above)
    except BnnhwError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
