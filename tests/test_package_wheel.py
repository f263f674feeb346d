"""The wheel holds every module and every data file of the tree, and the README's commands are those that work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"bnnhw": "bnnhw"} | {name: f"bnnhw/{name}" for name in ("hw", "compiler", "sim", "boards", "models")}


def tracked() -> set[str]:
    """Files of the mapped folders that git knows, as they must lie in the wheel."""
    done = subprocess.run(["git", "ls-files", "-z", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout, to know which files belong to the tree")
    found = set()
    for name in filter(None, done.stdout.split("\0")):
        folder, _, inner = name.partition("/")
        found.add(f"{FOLDERS[folder]}/{inner}")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the tracked tree: building leaves files beside the sources."""
    tracked()
    work = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(
        ["git", "ls-files", "-z", *FOLDERS, "pyproject.toml", "setup.py", "README.md", "LICENSE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (work / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, work / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "-w", str(work), str(work / "tree")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert done.returncode == 0, done.stderr
    return next(work.glob("*.whl"))


def test_wheel_holds_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == {name for name in tracked() if (ROOT / _source(name)).is_file()}


def test_wheel_has_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        assert b"Apache License" in archive.read(names["LICENSE"])
        assert b"bnnhw = bnnhw.cli:main" in archive.read(names["entry_points.txt"])


def test_every_folder_is_a_package() -> None:
    for name in sorted(tracked()):
        if name.endswith(".py"):
            assert f"{Path(name).parent.as_posix()}/__init__.py" in tracked(), f"{name} lies in no package"


def test_constraints_pin_every_dependency() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"{line} pins nothing"
            pins[name.lower().replace("_", "-")] = version
    project = (ROOT / "pyproject.toml").read_text()
    named = [line.split('"')[1] for line in project.splitlines() if line.startswith('    "') and ">=" in line]
    assert len(named) > 20
    for entry in named:
        assert entry.split(">=")[0].split("[")[0].lower() in pins, f"{entry} has no pin"
    assert "torch" in pins


def test_ci_runs_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- tests -->")[1].split("```sh\n")[1].split("\n```")[0]
    assert block.count(".venv") == 3
    assert ".ci/check.py" in block
    assert "constraints.txt" in readme.split("<!-- build -->")[1].split("```")[1]
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def _source(name: str) -> str:
    """The path in the tree of a path in the wheel."""
    part = name.split("/")[1]
    return name.removeprefix("bnnhw/") if part in FOLDERS else name
