"""The state of a training in a file beside the network's, written whole or not at all."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bnnhw.errors import BnnhwError, FileFormatError

SUFFIX = ".state"


def state_path(out: Path) -> Path:
    """Where the state of the training of ``out`` lies."""
    return out.with_name(out.name + SUFFIX)


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the file at once."""
    part = path.with_name(path.name + ".part")
    try:
        torch.save(dict(state), part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state at ``path`` of a training that was started as ``run`` says, or None where there is no file.

    Raises FileFormatError for a file that is none; BnnhwError for one of another training.
    """
    if not path.is_file():
        return None
    state = load(path)
    found = dict(state["run"])
    for key in dict.fromkeys([*run, *found]):
        if found.get(key) != run.get(key):
            raise BnnhwError(
                f"{path} must be of a training with {_told(key, run)}, not {found.get(key, 'none')}: go on as it was "
                "started, or remove the file"
            )
    return state


def load(path: Path) -> dict[str, Any]:
    """The state at ``path``, of whatever training. Raises FileFormatError for a file that is none."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        return dict(state) | {"run": dict(state["run"])}
    except Exception:  # whatever a damaged file makes of torch.load
        raise FileFormatError(f"{path} must be the state of a training, and is not") from None


def _told(key: str, run: Mapping[str, Any]) -> str:
    return f"{key} {run[key]}" if key in run else f"no {key}"


@contextmanager
def interrupts_wait() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of stopping the work in the middle of a step (main thread only)."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
