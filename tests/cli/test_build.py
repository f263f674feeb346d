"""``bnnhw build`` around the flow: files, report, what a failure leaves. The flow itself is a stand-in here."""

from __future__ import annotations

import contextlib
import gc
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bnnhw.boards import Board, Resources, flow
from bnnhw.boards.attempts import Note
from bnnhw.boards.failures import TimingError
from bnnhw.boards.layout import Options
from bnnhw.cli import build, main
from bnnhw.cli.compare import Comparison, compare
from bnnhw.cli.prepare import Prepared
from bnnhw.report import check_report

ARGUMENTS = ["build", "--model", "snn_digits", "--board", "ulx3s", "--shape", "2x8x16x8"]


def stand_in(
    top: Any, board: Board, directory: Path, clock_hz: Fraction, *, options: Options | None, keep: Sequence[str],
    together: Sequence[str], ready: Callable[[], None], progress: flow.Progress, note: Note,
) -> Any:  # fmt: skip
    """Does what the flow does to the folder, and reports a plausible design."""
    for name in ("top.bit", "top.v", "yosys.log", "nextpnr.log", "top.json", "top.il"):
        (directory / name).write_text(name)
    cells = {f"top.engine.array.pe{n}.q": {"attributes": {"NEXTPNR_BEL": f"X{n}/Y1/SLICEA.COMB0"}} for n in range(4)}
    placed = directory / "placed.json"
    placed.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    assert options is None, "a small array takes the placer that looks at timing"
    progress("synthesise", 2.5)
    ready()
    progress("place_and_route", 1.5)
    layout = SimpleNamespace(resources=Resources(9000, 5000, 60, 20), modules={keep[0]: 640}, placed=placed)
    return SimpleNamespace(layout=layout, clock_hz=clock_hz, fmax_mhz=117.3)


def as_predicted(prepared: Prepared, images: Any, level: str) -> Comparison:
    """A comparison with the circuit's part done by the machine model."""
    found = compare(prepared, images[:2], "machine")
    return replace(found, level=level, simulated=found.predicted, counters={"frame": found.predicted})


@contextlib.contextmanager
def at_once(function: Callable[..., Any], *arguments: Any) -> Iterator[Callable[[], Any]]:
    """In this process, where it is waited for."""
    yield cache(lambda: function(*arguments))


# The stand-in makes nothing of the circuit, which Amaranth would complain of whenever it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test works in a folder of its own, with the stand-ins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flow, "build", stand_in)
    monkeypatch.setattr(build, "compare", as_predicted)
    monkeypatch.setattr(build, "beside", at_once)
    yield tmp_path
    gc.collect()


def check_memory_plan(report: dict[str, Any]) -> None:
    """Maps lie in their memories, and two that lie in the same words are never alive in the same layer, but for a
    residual and the sum that takes its place."""
    sizes = {memory["name"]: memory["words"] for memory in report["memory_plan"]["memories"]}
    maps = report["memory_plan"]["maps"]
    assert maps
    for n, a in enumerate(maps):
        assert a["first"] < a["last"] < len(report["layers"])
        assert a["address"] + a["words"] <= sizes[a["memory"]]
        for b in maps[:n]:
            apart = a["address"] >= b["address"] + b["words"] or b["address"] >= a["address"] + a["words"]
            takes_over = b["last"] == a["first"] and a["memory"] == "value memory" and a["address"] == b["address"]
            later = a["first"] > b["last"] or b["first"] > a["last"]
            assert a["memory"] != b["memory"] or apart or later or takes_over, (a, b)


def test_files_and_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--json"]) == 0
    target = here / "build" / "snn_digits-ulx3s"
    expected = "nextpnr.log program.json report.html report.json top.bit top.v weights.bin yosys.log".split()  # noqa: SIM905
    assert sorted(path.name for path in target.iterdir()) == expected
    assert [path.name for path in target.parent.iterdir()] == ["snn_digits-ulx3s"]
    report = check_report(json.loads((target / "report.json").read_text()))
    assert json.loads(capsys.readouterr().out) == report | {"path": "build/snn_digits-ulx3s"}
    assert report["cycles"]["predicted"] == report["cycles"]["simulated"]
    assert report["resources"]["lut4"] == {"used": 9000, "available": 83640}
    assert report["lut4_per_mac"] == 640 / (2 * 8 * 16)
    assert (report["fmax_mhz"], report["clock_mhz"], report["timing_met"]) == (117.3, 100.0, True)
    assert report["accuracy"]["count"] == 450
    assert report["accuracy"]["accuracy"] >= 0.95
    assert report["weights"].startswith("trained on scikit-learn digits")
    assert report["command"] == "bnnhw build --model snn_digits --board ulx3s --shape 2x8x16x8x1"
    assert {"compile", "simulate", "evaluate", "place and route"} <= set(report["seconds"])
    check_memory_plan(report)
    assert sum(layer["weight_bits"] for layer in report["layers"]) == report["weight_bits"]


@pytest.mark.parametrize(
    "options",
    [
        ["--shape", "8x16x64x8x1x16", "--fps", "12.5"],
        ["--shape", "2x8x16x8x4", "--clock", "80", "--count", "3"],
        ["--shape", "auto", "--data", "a folder"],
    ],
)
def test_the_command_in_the_report_makes_the_build_again(options: list[str]) -> None:
    first = build.build.make_context("build", ["--model", "my net.bnn", "--board", "ulx3s", *options])
    command = shlex.split(build._command(first))
    assert command[:2] == ["bnnhw", "build"]
    assert build.build.make_context("build", command[2:]).params == first.params


def test_report_agrees_with_models(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = next(entry for entry in json.loads(capsys.readouterr().out) if entry["name"] == "snn_digits")
    assert main([*ARGUMENTS, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["macs"], report["ace"]["total"]) == (listed["macs"], listed["ace"])
    assert report["input"] == listed["input"]


def test_a_slow_design_leaves_the_build_before(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(ARGUMENTS) == 0
    before = {path.name: path.read_bytes() for path in (here / "build" / "snn_digits-ulx3s").iterdir()}

    def slow(top: Any, board: Board, directory: Path, clock_hz: Fraction, **options: Any) -> Any:
        (directory / "nextpnr.log").write_text("slow")
        raise TimingError(board.name, 80.0, 100.0)

    monkeypatch.setattr(flow, "build", slow)
    capsys.readouterr()
    assert main(ARGUMENTS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "80" in error
    assert {path.name: path.read_bytes() for path in (here / "build" / "snn_digits-ulx3s").iterdir()} == before
    assert sorted(path.name for path in (here / "build").iterdir()) == ["snn_digits-ulx3s", "snn_digits-ulx3s.failed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mismatches": 3, "where": "image 0, score 1: 5, not 6"},
            "error: scores of the circuit must equal the golden model's, and 3 do not: image 0, score 1: 5, not 6",
        ),
        ({"simulated": 12}, "error: simulated cycles must be the predicted {predicted}, not 12"),
    ],
)
def test_a_differing_circuit_is_not_built(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    seen = []

    def differing(prepared: Prepared, images: Any, level: str) -> Comparison:
        seen.append(replace(as_predicted(prepared, images, level), **change))
        return seen[-1]

    monkeypatch.setattr(build, "compare", differing)
    assert main(ARGUMENTS) == 1
    assert capsys.readouterr().err.splitlines()[-1] == message.format(predicted=seen[0].predicted)
    left = [path.name for path in (here / "build").iterdir()]
    assert left == ["snn_digits-ulx3s.failed"]  # the logs of synthesis, which ran beside
