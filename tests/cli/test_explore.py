"""``bnnhw explore``: what it plans with, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bnnhw import boards, models
from bnnhw.cli import main
from bnnhw.cli.prepare import limits_of
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.ir.file import save
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape, plan, resources

ARCH = snn.Arch(blocks=(1, 1), widths=(16, 32), tau=4, size=64, classes=1200)
"""On the smallest board its weights do not fit block RAM, and neither do the windows of its image."""
SIZES = ["--rows", "2", "--cols", "8", "--depth", "8", "--lanes", "2"]


@pytest.fixture
def large(tmp_path: Path) -> str:
    save(snn.untrained("large", ARCH), tmp_path / "large.bnn")
    return str(tmp_path / "large.bnn")


def explored(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["explore", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_sorts_by_cycles(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--rows", "2,4", "--cols", "8", "--depth", "8,16", "--lanes", "8"]
    found = explored(["--model", "snn_digits", "--board", "ulx3s", *sizes], capsys)
    assert len(found) == 4
    assert [row["cycles"] for row in found] == sorted(row["cycles"] for row in found)
    assert (found[0]["rows"], found[0]["depth"], found[0]["front"]) == (4, 16, 0)
    assert {(row["depth"], row["fetch"]) for row in found} == {(16, 2), (8, 4)}  # a beat of the codebook has 32 bits


def test_plans_with_sdram_and_front_unit(large: str, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explored(["--model", large, "--board", "ulx3s_12f", *SIZES, "--clock", "50"], capsys)
    board = boards.get("ulx3s_12f")
    shape, sdram = Shape(2, 8, 8, 2, 2, 2), board.sdram_setup(50_000_000)
    planned = plan(lower(models.load(large)), limits_of(board), shape, sdram=sdram)
    assert planned.engine.external == sdram
    assert {name: found[name] for name in shape.numbers} == shape.numbers
    assert (found["cycles"], found["fps"]) == (planned.cost.frame, round(50e6 / planned.cost.frame, 1))
    need = resources(planned)
    assert (found["lut4"], found["bram"], found["dsp"]) == (need.lut4, need.bram18k, need.dsp)
    assert 0.5 < found["utilisation"] < 1


def test_front_units_that_are_asked_for(large: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [*SIZES, "--front", "2,3,4"]
    found = explored(["--model", large, "--board", "ulx3s", *sizes], capsys)
    assert [row["front"] for row in found] == [4, 2]


def test_none_fits(large: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--model", large, "--board", "ulx3s_12f", *SIZES, "--front", "0"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: none of 1 shapes fits ulx3s_12f; the last: block RAMs of the image windows of network large must be at "
        "most 32, not 131: its shape needs a front unit"
    )


def test_front_is_no_multiple_of_lanes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "snn_digits", "--board", "ulx3s", "--lanes", "8", "--front", "4"]
    assert main(["explore", *arguments]) == 2
    assert capsys.readouterr().err == (
        "error: rows, cols, depth, lanes and front must allow a shape of at most 8192 MACs a cycle, and do not\n"
    )
