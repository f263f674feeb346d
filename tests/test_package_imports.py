"""Who may import whom, and that torch and onnx are needed only where they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"bnnhw": "bnnhw"} | {f"bnnhw.{name}": name for name in ("hw", "compiler", "sim", "boards", "models")}

ALLOWED = {
    "bnnhw.spec": ("bnnhw.spec",),
    "bnnhw.errors": (),
    "bnnhw.sim.golden": ("bnnhw.sim.golden", "bnnhw.spec", "bnnhw.errors"),
    "bnnhw.hw": ("bnnhw.hw", "bnnhw.spec", "bnnhw.errors"),
    "bnnhw.report": ("bnnhw.report", "bnnhw.errors"),
}
"""What of ours each package may import."""

FORBIDDEN = {
    "bnnhw.compiler": ("bnnhw.hw", "bnnhw.sim", "bnnhw.boards", "bnnhw.cli", "bnnhw.report"),
    "bnnhw.sim.machine": ("bnnhw.hw", "bnnhw.sim.golden", "bnnhw.boards", "bnnhw.cli", "bnnhw.report"),
    "bnnhw.models": ("bnnhw.hw", "bnnhw.sim", "bnnhw.boards", "bnnhw.cli", "bnnhw.report"),
    "bnnhw.boards": ("bnnhw.compiler", "bnnhw.sim", "bnnhw.models", "bnnhw.cli", "bnnhw.report"),
    "bnnhw.sim": ("bnnhw.cli", "bnnhw.report"),
}
"""What of ours each package must not import."""


def sources() -> Iterator[tuple[str, Path]]:
    """(module, file) of the whole package."""
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(inner[:-1] if inner[-1] == "__init__" else inner)]), path


def imports(module: str, path: Path) -> Iterator[str]:
    """Modules of ours that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if inside(alias.name, "bnnhw"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "bnnhw":
                yield from (f"bnnhw.{alias.name}" for alias in node.names if not alias.name.startswith("__"))
            elif inside(node.module or "", "bnnhw"):
                yield str(node.module)


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def violations() -> list[str]:
    """All imports against the rules, as lines."""
    found = []
    for module, path in sources():
        for name in imports(module, path):
            for package, allowed in ALLOWED.items():
                if inside(module, package) and not any(inside(name, other) for other in allowed):
                    found.append(f"{module} imports {name}")
            for package, forbidden in FORBIDDEN.items():
                if inside(module, package) and any(inside(name, other) for other in forbidden):
                    found.append(f"{module} imports {name}")
    return found


def test_arrows() -> None:
    assert violations() == []


def test_the_rules_see_the_code() -> None:
    modules = {module for module, _ in sources()}
    assert {*ALLOWED, *FORBIDDEN} <= modules
    assert any(name == "bnnhw.spec.network" for module, path in sources() for name in imports(module, path))


WITHOUT_EXTRAS = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from bnnhw.cli import main
"""


def without_extras(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where torch and onnx cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS + code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_simulating_and_evaluating_need_no_torch(tmp_path: Path) -> None:
    code = """
assert main(["models"]) == 0
assert main(["eval", "--model", "snn_digits", "--data", "digits", "--count", "20"]) == 0
shape = ["--shape", "2x8x16x8"]
assert main(["sim", "--model", "snn_digits", "--count", "1", *shape]) == 0
assert main(["compile", "--model", "snn_digits", "--board", "ulx3s", *shape]) == 0
import bnnhw.boards.flow, bnnhw.hw.top, bnnhw.sim.rtl, bnnhw.cli.build, bnnhw.report
assert "torch" not in sys.modules
"""
    done = without_extras(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "snn_digits", "-o", "x.bnn"], "error: training needs torch: pip install 'bnnhw[torch]'\n"),
    ],
)
def test_what_needs_torch_says_so(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = without_extras(f"sys.exit(main({arguments!r}))", tmp_path)
    assert (done.returncode, done.stderr) == (2, message)
    assert list(tmp_path.iterdir()) == []
