"""Tables of cycles: rows of networks, one that does not fit, sums of layers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks.cycles import main, number
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.ir.file import save


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_of_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = snn.Arch(blocks=(1, 1), widths=(64, 64), tau=4, size=160, classes=10)
    save(snn.untrained("wide", arch), tmp_path / "wide.bnn")
    assert main(["--board", "ulx3s_12f", "--model", "snn_digits", str(tmp_path / "wide.bnn")]) == 0
    head, _, digits, wide = (cells(line) for line in capsys.readouterr().out.splitlines())
    found = dict(zip(head, digits, strict=True))
    assert found["ACE"] == "3,284,992"
    array, front = (int(found[name].replace(",", "")) for name in ("ACE a cycle: array", "front unit"))
    roof, cycles = (int(found[name].replace(",", "")) for name in ("compute roof", "cycles"))
    assert (front, found["bound"]) == (0, "compute")
    assert roof == round(3_284_992 / array)
    assert found["utilisation"] == f"{roof / cycles:.1%}"
    assert wide[-1].startswith("block RAMs of network wide on a ")
    assert wide[1:-1] == ["-"] * (len(head) - 2)


def test_layers_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--layers", "snn_digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, rows = cells(lines[2]), [cells(line) for line in lines[4:]]
    first = head.index("ideal")
    for row in rows:
        split = [float(cell.replace(",", "")) for cell in row[first:]]
        assert sum(split) == pytest.approx(float(row[head.index("cycles")].replace(",", "")), abs=0.5)
    assert rows[-1][0] == "sum"
    assert lines[0] == f"snn_digits on {lines[0].split()[2]} {rows[-1][head.index('cycles')]} cycles a frame"


@pytest.mark.parametrize("arguments", [["--board", "nope"], ["--model", "nope"], ["--layers", "nope"]])
def test_bad_input_ends_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {arguments[0][2:].replace('layers', 'model')} ")


def test_numbers() -> None:
    assert [number(Fraction(n, d)) for n, d in ((12345, 1), (5, 2), (0, 1))] == ["12,345", "2.5", "0"]
