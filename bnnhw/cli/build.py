"""``bnnhw build``: network to bitstream and report, with a simulation of the generated circuit beside its synthesis."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from bnnhw.cli.beside import beside
from bnnhw.cli.compare import Comparison, compare
from bnnhw.cli.measure import array_path, lane_path, report_inputs
from bnnhw.cli.options import BOARD, CLOCK, COUNT, DATA, FPS, JSON, MODEL, SHAPE, out_folder
from bnnhw.cli.output import print_facts, print_json, whole_folder
from bnnhw.cli.prepare import Prepared, compile_model, images_for, labelled_data
from bnnhw.cli.program import identity, write_program
from bnnhw.cli.progress import Stages
from bnnhw.errors import BnnhwError
from bnnhw.report import Accuracy, build_report, render_html, write_report

if TYPE_CHECKING:
    from bnnhw.boards.flow import Bitstream
    from bnnhw.compiler.plan import Shape
    from bnnhw.hw.top import Top

SIMULATED_CYCLES = 1_500_000
"""About as many cycles are simulated by default: a minute or two."""
FEWEST, MOST = 4, 50
LEFT_OUT = ("top.il", "top.json", "placed.json")
"""Large intermediate files of the flow that nobody needs after it."""


class DifferenceError(BnnhwError):
    """The generated circuit does not do what the golden model or the cost model says."""

    exit_code = 1


@click.command()
@MODEL
@BOARD
@SHAPE
@FPS
@CLOCK
@DATA
@click.option("--count", type=COUNT, help="Images to simulate; by default up to 50, of about 1,500,000 cycles in all.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Instead of build/<model>-<board>.")
@JSON
def build(
    model: str,
    board: str,
    shape: Shape | None,
    fps: float,
    clock: float,
    data: str | None,
    count: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compile, simulate, synthesise, place and route, pack, report.

    Writes top.bit, weights.bin, program.json, top.v, report.json, report.html and logs. An earlier build stays when
    this one fails. Ends with 1 when the simulated circuit differs from the golden model or the predicted cycles.
    """
    stages = Stages()
    target = out or out_folder(model, board)
    prepared = compile_model(model, board, shape, fps, stages, clock)
    images = _images(prepared, data, count, stages)
    with whole_folder(target) as folder, beside(compare, prepared, images, "rtl") as simulated:
        number = write_program(prepared, folder)
        accuracy = _accuracy(prepared, data, stages)
        simulation, placed = _place(prepared, number, clock, folder, stages, simulated)
        inputs = report_inputs(
            prepared,
            simulation,
            float(placed.clock_hz / 1_000_000),
            command=_command(click.get_current_context()),
            seconds=stages.seconds,
            accuracy=accuracy,
            placed=placed,
        )
        report = build_report(inputs)
        write_report(report, folder / "report.json")
        render_html(report, folder)
        for name in LEFT_OUT:
            (folder / name).unlink(missing_ok=True)
    if as_json:
        print_json(report | {"path": str(target)})
    else:
        _tell(report, target)


def _images(prepared: Prepared, data: str | None, count: int | None, stages: Stages) -> NDArray[np.uint8]:
    """Images to simulate (N, H, W, C)."""
    default = min(MOST, max(FEWEST, SIMULATED_CYCLES // prepared.plan.cost.frame))
    return images_for(prepared.graph, data, (), count or default, stages).images


def _checked(found: Comparison) -> Comparison:
    """An RTL simulation. Raises DifferenceError naming the first difference."""
    if found.mismatches:
        raise DifferenceError(
            f"scores of the circuit must equal the golden model's, and {found.mismatches} do not: {found.where}"
        )
    if found.simulated != found.predicted:
        raise DifferenceError(f"simulated cycles must be the predicted {found.predicted}, not {found.simulated}")
    return found


def _accuracy(prepared: Prepared, data: str | None, stages: Stages) -> Accuracy | None:
    """Of the integer network on all labelled data there is."""
    from bnnhw.sim import golden

    found = labelled_data(prepared.graph, data)
    if found is None:
        return None
    with stages.stage("evaluate"):
        classes = golden.run(prepared.network, found.images).argmax(axis=1)
    return Accuracy(found.name, len(found), int(np.count_nonzero(classes == found.labels)))


def circuit(prepared: Prepared, number: int, hertz: Fraction) -> Top:
    """The engine, as the board's fabric wants it, behind its serial port; ``number`` is the program's."""
    from bnnhw.hw.engine import Engine
    from bnnhw.hw.streamed import StreamedEngine
    from bnnhw.hw.top import Top
    from bnnhw.spec.engine import Popcount

    engine = Engine(replace(prepared.plan.engine, popcount=Popcount.CARRY), prepared.plan.images)
    circuit = engine if engine.config.external is None else StreamedEngine(engine)
    return Top(circuit, identity=identity(prepared, number, round(hertz)), baud=prepared.board.max_baud)


def _place(
    prepared: Prepared, number: int, clock: float, folder: Path, stages: Stages, simulated: Callable[[], Comparison]
) -> tuple[Comparison, Bitstream]:
    """Synthesis to bitstream; nothing is placed before the circuit was ``simulated`` and found right."""
    from bnnhw.boards import flow
    from bnnhw.boards.layout import DEFAULT_OPTIONS, DENSE

    hertz = Fraction(str(clock)) * 1_000_000
    top = circuit(prepared, number, hertz)
    with stages.live("simulate, synthesise, place and route") as step:

        def progress(stage: str, seconds: float) -> None:
            stages.done(stage.replace("_", " "), seconds)
            step(f"after {stage.replace('_', ' ')}", 0, 0)

        def ready() -> None:
            step("simulate", 0, 0)
            progress("simulate", _checked(simulated()).seconds)

        bitstream = flow.build(
            top,
            prepared.board,
            folder,
            hertz,
            options=DEFAULT_OPTIONS if prepared.plan.engine.macs_per_cycle >= DENSE else None,
            keep=(array_path(prepared),),
            together=(lane_path(prepared),),
            ready=ready,
            progress=progress,
            note=stages.note,
        )
    return simulated(), bitstream


def _command(context: click.Context) -> str:
    """The command that makes this build again: all options that were given."""
    words = ["bnnhw", "build"]
    for name, value in context.params.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not given or name in ("as_json", "out"):
            continue
        if name == "shape":
            value = value or "auto"
        words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _tell(report: dict[str, Any], target: Path) -> None:
    cycles, used = report["cycles"], report["resources"]
    facts = [
        ("clock", f"{report['clock_mhz']:g} MHz, {report['fmax_mhz']:.1f} MHz reached after routing"),
        ("cycles a frame", f"{cycles['simulated']:,} simulated = predicted"),
        ("frames a second", f"{report['fps']:,.0f}; the host link allows {report['fps_link']:,.0f}"),
        ("utilisation", f"{report['utilisation']:.1%}"),
        ("simulated images", f"{report['simulation']['images']}, all scores as the golden model's"),
        ("resources", ", ".join(f"{v['used']:,} of {v['available']:,} {name}" for name, v in used.items())),
    ]
    if report["lut4_per_mac"] is not None:
        facts.append(("LUT4 per MAC", f"{report['lut4_per_mac']:.2f}"))
    if report["accuracy"]:
        found = report["accuracy"]
        facts.append(("accuracy", f"{found['accuracy']:.2%} of {found['count']} images ({found['data']})"))
    print_facts([*facts, ("report", target / "report.html"), ("bitstream", target / "top.bit")])
