"""The table of the five papers: figures of a report, builds that are there already, networks that are not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import five_papers
from bnnhw.cli.measure import report_inputs
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.program import write_program
from bnnhw.cli.progress import Stages
from bnnhw.report import build_report, write_report


def tables(text: str) -> list[list[dict[str, str]]]:
    """The rows of every table in ``text``, by the names of their columns."""
    found = []
    for part in text.split("\n\n"):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines())
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def test_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert five_papers.main(["--predicted", "--model", "snn_digits", "--model", "nobody", "--data", "digits"]) == 1
    (digits, nobody), (spent,) = tables(capsys.readouterr().out)
    assert (digits["integer"], digits["ACE"], digits["weight bits"]) == ("98.89%", "3,284,992", "49,536")
    assert re.fullmatch(r"\d+x\d+x\d+", digits["array"])
    assert digits["weights"].startswith("trained on scikit-learn digits")
    nothing = ("LUT4", "block RAM", "multipliers", "MHz", "SDRAM bytes a frame")
    assert [digits[name] for name in nothing] == ["-"] * len(nothing)
    assert nobody["weights"].startswith("model must be one of ")
    assert nobody["cycles"] == "-"
    name, *shares, first = spent.values()
    assert (name, spent["products"]) == ("snn_digits", digits["utilisation"])
    assert sum(float(share.strip("%")) for share in shares) == pytest.approx(100, abs=0.5)
    assert 0 < float(first.strip("%")) < 100


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build leaves, as far as it is read: the program, and a report."""
    folder = tmp_path_factory.mktemp("example")
    prepared = compile_model("snn_digits", "ulx3s", None, 3000.0, Stages())
    write_program(prepared, folder)
    report = build_report(report_inputs(prepared, None, 100.0, command="test"))
    memory = {"name": "SDRAM", "bytes_per_cycle": 2.0, "loaded_bytes": 5}
    resources = {kind: {"used": 6, "available": 60} for kind in report["resources"] or ("lut4", "ff", "bram", "dsp")}
    found: dict[str, Any] = report | {"fmax_mhz": 111.1, "resources": resources, "bytes_moved": 1234}
    write_report(found | {"memory": report["memory"] | memory}, folder / "report.json")
    return folder


def test_a_build_is_made_once(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the same program serves again; one of another, for another board or damaged does not."""
    made: list[list[str]] = []

    def build(given: list[str]) -> int:
        made.append(given)
        print("what a build says")
        shutil.copytree(example, tmp_path / "snn_digits", dirs_exist_ok=True)
        return 0

    monkeypatch.setattr(five_papers.cli, "main", build)
    call = ["--model", "snn_digits", "--out", str(tmp_path)]
    for _ in range(2):
        assert five_papers.main(call) == 0
        (row,) = tables(capsys.readouterr().out)[0]
        assert (row["ACE"], row["LUT4"], row["MHz"]) == ("3,284,992", "6", "111.1")
        assert row["SDRAM bytes a frame"] == "1,234"
    options = ["--board", "ulx3s", "--fps", "3000", "--count", "8", "--out", str(tmp_path / "snn_digits")]
    assert made == [["build", "--model", "snn_digits", *options]]

    report, program = (tmp_path / "snn_digits" / name for name in ("report.json", "program.json"))
    other = json.loads(program.read_text()) | {"build": "0123456789abcdef"}
    for path, text in ((program, json.dumps(other)), (report, "{"), (program, "[]")):
        path.write_text(text)
        before = len(made)
        assert five_papers.main(call) == 0
        assert len(made) == before + 1


@pytest.mark.parametrize("status", [1, 130])
def test_a_build_that_fails(
    status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in its row; an interrupt ends the whole."""
    monkeypatch.setattr(five_papers.cli, "main", lambda given: status)
    call = ["--model", "snn_digits", "--out", str(tmp_path)]
    if status == 130:
        with pytest.raises(KeyboardInterrupt):
            five_papers.main(call)
        return
    assert five_papers.main(call) == 1
    (row,), spent = tables(capsys.readouterr().out)
    assert row["weights"] == "build of snn_digits must succeed, and ended with 1"
    assert spent == []
