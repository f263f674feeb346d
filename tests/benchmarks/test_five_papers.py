"""The table of the five papers: figures of a report, reports that are there already, networks that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import five_papers
from bnnhw import models


def table(text: str) -> list[dict[str, str]]:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert five_papers.main(["--predicted", "--model", "snn_digits", "nobody", "--data", "digits"]) == 1
    digits, nobody = table(capsys.readouterr().out)
    assert (digits["integer"], digits["ACE"], digits["weight bits"]) == ("98.89%", "3,284,992", "49,536")
    assert digits["weights"].startswith("trained on scikit-learn digits")
    assert [digits[name] for name in ("LUT4", "block RAM", "multipliers", "MHz")] == ["-"] * 4
    assert nobody["weights"] == "no network of this name comes with the package yet"
    assert nobody["cycles"] == "-"


def test_a_build_is_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of the same network serves again, one of other weights does not."""
    report: dict[str, Any] = {
        "weights": models.load("snn_digits").meta["weights"], "board": "ulx3s", "weight_bits": 1,
        "ace": {"total": 2000},
        "cycles": {"predicted": 3}, "utilisation": 0.5, "fps": 4.0, "fmax_mhz": 111.1,
        "memory": {"loaded_bytes": 5}, "resources": {kind: {"used": 6} for kind in ("lut4", "bram", "dsp")},
    }  # fmt: skip
    made: list[list[str]] = []

    def build(given: list[str]) -> int:
        made.append(given)
        (tmp_path / "snn_digits").mkdir(exist_ok=True)
        (tmp_path / "snn_digits" / "report.json").write_text(five_papers.json.dumps(report))
        return 0

    monkeypatch.setattr(five_papers.cli, "main", build)
    monkeypatch.setattr(five_papers, "check_report", lambda found: found)
    for _ in range(2):
        assert five_papers.main(["--model", "snn_digits", "--out", str(tmp_path)]) == 0
    first = table(capsys.readouterr().out)
    assert (first[0]["ACE"], first[0]["LUT4"], first[0]["MHz"]) == ("2,000", "6", "111.1")
    assert made == [["build", "--model", "snn_digits", "--board", "ulx3s", "--out", str(tmp_path / "snn_digits")]]
    report["weights"] = "of somebody else"
    build([])
    assert five_papers.main(["--model", "snn_digits", "--out", str(tmp_path)]) == 0
    assert len(made) == 3
