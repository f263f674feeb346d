"""Each command on the shipped network: what it prints, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnnhw import models
from bnnhw.cli import main
from bnnhw.cli.weight_file import WeightFile
from bnnhw.models import data
from bnnhw.report import build_report, write_report
from tests.report.sample import inputs

SHAPE = ["--shape", "2x8x16x8"]
MODEL = ["--model", "snn_digits"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    """The JSON that a command prints."""
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


COST = {"macs", "binary_macs", "ace", "ace_paper", "ace_engine", "bit_ops", "ops", "weight_bits", "binary_weights"}


def test_models(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["name"]: entry for entry in printed(["models"], capsys)}
    assert set(found) == set(models.names())
    for entry in found.values():
        assert set(entry) == {"name", "paper", "trained", "input", *COST}
    assert found["snn_digits"]["input"] == [8, 8, 1]
    monkeypatch.setattr(models, "names", lambda: ["snn_digits"])
    assert main(["models"]) == 0
    assert "snn_digits" in capsys.readouterr().out


def test_models_on_a_board(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Predicted cycles of those that run, the reason for those that do not."""
    monkeypatch.setattr(models, "names", lambda: ["adabin_r20", "snn_digits"])
    large, digits = printed(["models", "--board", "ulx3s_12f"], capsys)
    assert (large["cycles"], large["fps"]) == (None, None)
    assert large["why"].startswith("block RAMs of network adabin_r20")
    assert digits["fps"] == pytest.approx(1e8 / digits["cycles"])
    monkeypatch.setattr(models, "names", lambda: ["snn_digits"])
    assert main(["models", "--board", "ulx3s_12f"]) == 0
    assert "frames/s" in capsys.readouterr().out


def test_boards(capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["name"]: entry["resources"] for entry in printed(["boards"], capsys)}
    assert found["ulx3s"] == {"lut4": 83640, "ff": 83640, "bram": 208, "dsp": 156}
    assert main(["boards"]) == 0
    assert "ULX3S" in capsys.readouterr().out


def test_eval(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(["eval", *MODEL, "--data", "digits"], capsys)
    assert set(found) == {"count", "correct", "accuracy", "torch_accuracy", "agreement"}
    assert found["count"] == 450
    assert found["accuracy"] == found["correct"] / 450 >= 0.95


@pytest.mark.parametrize("level", ["golden", "machine"])
def test_sim(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(["sim", *MODEL, "--level", level, "--count", "3", *SHAPE], capsys)
    assert set(found) == {"level", "count", "mismatches", "cycles", "seconds"}
    assert (found["level"], found["count"], found["mismatches"]) == (level, 3, 0)
    assert found["cycles"]["predicted"] > 0
    assert found["cycles"]["simulated"] is None


def test_sim_of_an_image_file(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    digits = data.load("digits")
    np.save(here / "a.npy", digits.images[0])
    assert main(["sim", *MODEL, "--image", "a.npy", *SHAPE]) == 0
    assert capsys.readouterr().out.startswith(f"a.npy                {digits.labels[0]}   scores ")


def test_sim_tells_a_difference(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from bnnhw.sim import machine

    true = machine.run
    monkeypatch.setattr(machine, "run", lambda plan, images: true(plan, images) + (np.arange(10) == 3))
    found = printed(["sim", *MODEL, "--count", "2", *SHAPE], capsys, code=1)
    assert found["mismatches"] == 2
    assert main(["sim", *MODEL, "--count", "2", *SHAPE]) == 1
    assert "first difference: image 0, score 3: " in capsys.readouterr().err


def test_random_images_where_there_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--model", "adabin_r20", "--level", "golden", "--shape", "4x16x16x16"]) == 0
    told = capsys.readouterr()
    assert "no data given: random images 32x32x3, seed 1" in told.err
    assert "1 of random" in told.out


def test_compile_writes_the_same_bytes_again(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    arguments = ["compile", *MODEL, "--board", "ulx3s", *SHAPE]
    found = printed([*arguments, "--out", "a"], capsys)
    assert found["array"] == {"rows": 2, "cols": 8, "depth": 16, "lanes": 8, "fetch": 1, "front": 0}
    assert found["cycles"]["predicted"] == sum(layer["cycles"] for layer in found["layers"])
    assert main([*arguments, "--out", "b"]) == 0
    for name in ("program.json", "weights.bin"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()
    program = json.loads((here / "a" / "program.json").read_text())
    assert (program["kind"], program["version"], len(program["build"])) == ("bnnhw program", 2, 16)
    told, weights = program["weights"], WeightFile.read(here / "a" / "weights.bin")
    assert (weights.network, f"{weights.build:016x}") == ("snn_digits", program["build"])
    assert len(weights.content) == told["bytes"] == told["beats"] * -(-told["bits"] // 8)
    assert f"{weights.crc:08x}" == told["crc"]


def test_run_on_a_simulated_board(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    from bnnhw import models
    from bnnhw.compiler.lower import lower
    from bnnhw.sim import golden

    digits = data.load("digits").first(3)
    np.save(here / "three.npy", digits.images)
    found = printed(["run", "--board", "ulx3s", "--port", "sim", *MODEL, "--counters", "three.npy"], capsys)
    scores = golden.run(lower(models.load("snn_digits")), digits.images)
    assert [row["scores"] for row in found["results"]] == scores.tolist()
    assert [row["image"] for row in found["results"]] == ["three.npy [0]", "three.npy [1]", "three.npy [2]"]


def test_report_renders_again(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    write_report(build_report(inputs()), here / "report.json")
    assert main(["report", str(here)]) == 0
    assert capsys.readouterr().out.split()[-1] == str(here / "report.html")
    assert (here / "report.html").read_text().endswith("</html>")
