"""Where results go: JSON or a table on standard output, and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bnnhw.errors import BnnhwError


def print_json(result: Any) -> None:
    """The machine-readable result of a command."""
    click.echo(json.dumps(result, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """A table; columns whose name starts with ``>`` are aligned to the right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 250  # a file or pipe has no width: nothing is wrapped
    console.print(table)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Names and values, a line each."""
    for name, value in facts:
        click.echo(f"{name:<20} {value}")


def check_folder_of(path: Path) -> None:
    """Raises BnnhwError unless the folder in which ``path`` is to be written exists."""
    if not path.absolute().parent.is_dir():
        raise BnnhwError(f"the folder of {path} must exist, and does not")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def print_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns whose name starts with ``>`` are aligned to the right, the last one may hold a sentence."""
    names, right = [name.removeprefix(">") for name in columns], [name.startswith(">") for name in columns]
    lines = [names, *rows]
    widths = [max(3, *(len(line[n]) for line in lines)) for n in range(len(names))]
    if not right[-1]:
        widths[-1] = len(names[-1])
    rule = [("-" * (width - 1) + ":") if at else "-" * width for width, at in zip(widths, right, strict=True)]
    for line in (names, rule, *rows):
        cells = zip(line, widths, right, strict=True)
        click.echo(f"| {' | '.join(cell.rjust(width) if at else cell.ljust(width) for cell, width, at in cells)} |")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of ``target`` when the block ends well.

    When the block raises, ``target`` stays as it was; tools' logs, if there are any, are left in ``<target>.failed``,
    and an error message that names one of them names it there.
    """
    if target.exists() and not target.is_dir():
        raise BnnhwError(f"output must be a folder, not the file {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_name(target.name + ".failed")
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    work.chmod(0o755)
    try:
        yield work
        _swap(work, target)
        shutil.rmtree(failed, ignore_errors=True)
    except BaseException as error:
        logs = sorted(work.glob("*.log"))
        if logs and isinstance(error, Exception):
            shutil.rmtree(failed, ignore_errors=True)
            failed.mkdir()
            for log in logs:
                shutil.copy(log, failed)
            error.args = tuple(str(arg).replace(str(work), str(failed)) for arg in error.args)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _swap(work: Path, target: Path) -> None:
    """Put ``work`` in the place of ``target``; there is always one of the two, the older one under another name."""
    old = work.with_name(work.name + "-old")
    if target.exists():
        os.rename(target, old)
    os.rename(work, target)
    shutil.rmtree(old, ignore_errors=True)
