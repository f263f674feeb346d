"""What the documentation shows works as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from bnnhw import models

ROOT = Path(__file__).parents[1]


def test_own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "networks.md").read_text()
    program = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "networks.md", "exec"), {})
    assert models.load(tmp_path / "mine.bnn").meta["name"] == "mine"


def test_every_architecture_is_listed() -> None:
    from bnnhw.compiler.frontend import ARCHS

    text = (ROOT / "docs" / "networks.md").read_text()
    listed = [name for line in text.splitlines() if line.startswith("| `") for name in line.split("|")[1].split(", ")]
    assert sorted(name.strip(" `") for name in listed) == sorted(ARCHS)
