"""Errors of the command line: one line, exit code, nothing written; interruption; progress and JSON apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnnhw import models
from bnnhw.cli import main
from bnnhw.cli.app import COMMANDS
from bnnhw.compiler.frontend import ARCHS
from bnnhw.compiler.ir import file as bnn

SHAPE = "2x8x16x8"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


NO_MODEL = f"error: model must be one of {', '.join(models.names())}, or the path of a .bnn file, not 'nope'\n"
NO_BOARD = "error: board must be one of ulx3s, ulx3s_45f, ulx3s_25f, ulx3s_12f, not 'nope'\n"
MODEL = ["--model", "snn_digits"]
BOARD = ["--board", "ulx3s"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], f"error: command must be one of {', '.join(COMMANDS)}, not 'nope'\n"),
        (["eval", "--model", "nope", "--data", "digits"], NO_MODEL),
        (["sim", "--model", "nope"], NO_MODEL),
        (["build", "--model", "nope", *BOARD], NO_MODEL),
        (["build", *MODEL, "--board", "nope"], NO_BOARD),
        (["compile", *MODEL, "--board", "nope"], NO_BOARD),
        (["explore", *MODEL, "--board", "nope"], NO_BOARD),
        (["run", "--board", "nope", "--port", "sim", "a.png"], NO_BOARD),
        (["build", *BOARD], "error: Missing option '--model' / '-m'.\n"),
        (["models", "--nope"], "error: No such option '--nope'.\n"),
        (
            ["train", "nope", "-o", "f.bnn"],
            f"error: recipe must be one of {', '.join(models.recipe_names())}, not 'nope'\n",
        ),
        (["train", "snn_digits", "-o", "no/f.bnn"], "error: the folder of no/f.bnn must exist, and does not\n"),
        (
            ["import", "a.pth", "--arch", "nope", "-o", "f.bnn"],
            f"error: arch must be one of {', '.join(sorted(ARCHS))}, not 'nope'\n",
        ),
        (
            ["import", "a.pth", "--arch", "adabin_r20", "-o", "f.bnn"],
            "error: checkpoint must be a file, not 'a.pth': there is no such file\n",
        ),
        (
            ["sim", *MODEL, "--image", "a.png", "--data", "digits"],
            "error: --image and --data must not be given together\n",
        ),
        (
            ["sim", *MODEL, "--shape", "4x4"],
            "error: shape must be ROWSxCOLSxDEPTHxLANES[xFETCH[xFRONT]], such as 8x16x63x16, not '4x4'\n",
        ),
        (
            ["sim", *MODEL, "--fps", "0"],
            "error: Invalid value for '--fps': 0.0 is not in the range x>0.\n",
        ),
        (["sim", *MODEL, "--shape", "2x8x16x3"], "error: lanes must divide cols = 8, not be 3\n"),
        (
            ["explore", *MODEL, *BOARD, "--rows", "1,x"],
            "error: Invalid value for '--rows': must be whole numbers from 1 on, separated by commas, not '1,x'\n",
        ),
        (
            ["explore", *MODEL, *BOARD, "--most", "1"],
            "error: rows, cols, depth, lanes and front must allow a shape of at most 1 MACs a cycle, and do not\n",
        ),
        (
            ["explore", *MODEL, *BOARD, "--front", "0,-8"],
            "error: Invalid value for '--front': must be whole numbers from 0 on, separated by commas, not '0,-8'\n",
        ),
        (["report", "."], "error: report report.json must be a readable file: No such file or directory\n"),
        (["run", *BOARD, "--port", "sim", "a.png"], "error: --model must be given with --port sim\n"),
        (
            ["run", *BOARD, "--port", "/dev/none", *MODEL, "a.png"],
            "error: program build/snn_digits-ulx3s/program.json must be a readable JSON file, and is not\n",
        ),
    ],
)
def test_bad_input(arguments: list[str], message: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines(keepends=True)[-1] == message
    assert list(empty_folder.iterdir()) == []


def test_a_network_too_large_for_the_board(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", *MODEL, "--board", "ulx3s_12f", "--shape", "14x16x64x16"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        "error: LUT4s of network snn_digits on a 14 x 16 x 64 array with 16 lanes must be at most 12144,"
    )
    assert list(empty_folder.iterdir()) == []


def test_an_image_of_the_wrong_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("L", (9, 8)).save(path)
    assert main(["sim", *MODEL, "--image", str(path), "--shape", SHAPE]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: image {path} must be 8x8x1 (height x width x channels) for this network, not 8x9x1"
    )


def test_a_truncated_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bnnhw import models

    path = tmp_path / "a.bnn"
    bnn.save(models.load("snn_digits"), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert main(["eval", "--model", str(path), "--data", "digits"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: must be a whole .bnn file, not a truncated or other one (")
    assert error.count("\n") == 1


def test_no_arguments_show_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr().err
    assert all(f"  {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"bnnhw {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from bnnhw import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bnnhw, version {__version__}\n"


def test_results_and_progress_are_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *MODEL, "--data", "digits", "--count", "5", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["count"] == 5
    assert "golden model" in told.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(empty_folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", "import sys; from bnnhw.cli import main; sys.exit(main())"]
    process = subprocess.Popen(
        [*command, "build", *MODEL, *BOARD, "--shape", SHAPE],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BNNHW_CACHE": str(empty_folder.parent / "cache")},
        # whoever started the tests in the background may have had it ignored, which children inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(empty_folder.glob("build/.*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted"
    assert list(empty_folder.glob("build/*")) + list(empty_folder.glob("build/.*")) == []
