"""Folders that appear whole or not at all; tools' logs of a failure are kept; tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnnhw.cli.output import print_markdown, whole_folder, write_bytes
from bnnhw.cli.progress import Stages
from bnnhw.errors import BnnhwError


def test_a_good_build_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "build" / "a"
    for content in (b"1", b"2"):
        with whole_folder(target) as folder:
            write_bytes(folder / f"file{content.decode()}", content)
    assert [path.name for path in target.iterdir()] == ["file2"]
    assert [path.name for path in target.parent.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", [BnnhwError, KeyboardInterrupt])
def test_a_failing_build_leaves_the_one_before(tmp_path: Path, kind: type[BaseException]) -> None:
    target = tmp_path / "a"
    with whole_folder(target) as folder:
        write_bytes(folder / "good", b"1")
    with pytest.raises(kind), whole_folder(target) as folder:  # noqa: PT012
        write_bytes(folder / "half", b"1")
        raise kind("stop")
    assert [path.name for path in target.iterdir()] == ["good"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_logs_of_a_failure_are_kept_and_named(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with pytest.raises(BnnhwError) as caught, whole_folder(target) as folder:  # noqa: PT012
        write_bytes(folder / "yosys.log", b"ERROR: x")
        write_bytes(folder / "top.v", b"module")
        raise BnnhwError(f"yosys failed; its log is {folder / 'yosys.log'}")
    assert str(caught.value) == f"yosys failed; its log is {tmp_path / 'a.failed' / 'yosys.log'}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.failed"]
    assert [path.name for path in (tmp_path / "a.failed").iterdir()] == ["yosys.log"]
    with whole_folder(target):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("mine")
    with pytest.raises(BnnhwError) as caught, whole_folder(target):
        pass
    assert str(caught.value) == f"output must be a folder, not the file {target}"
    assert target.read_text() == "mine"


def test_stages_are_timed_in_order_and_only_when_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    stages = Stages()
    with stages.stage("compile") as step:
        step("half", 1, 2)
    with pytest.raises(ValueError, match="stop"), stages.stage("simulate"):
        raise ValueError("stop")
    stages.done("pack", 2.5)
    assert list(stages.seconds) == ["compile", "pack"]
    assert capsys.readouterr().err.splitlines()[-1] == "✓ pack                   2.5 s"


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    print_markdown(["name", ">n", "why"], [["a", "1", ""], ["bcdef", "10", "a sentence"]])
    assert capsys.readouterr().out.splitlines() == [
        "| name  |   n | why |",
        "| ----- | --: | --- |",
        "| a     |   1 |     |",
        "| bcdef |  10 | a sentence |",
    ]
