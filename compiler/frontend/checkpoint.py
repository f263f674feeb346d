"""Reads the state of a PyTorch checkpoint as NumPy arrays without ever running code from the file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError, FileFormatError

State = dict[str, NDArray[np.float32]]
COUNTERS = re.compile(r"(^|\.)num_batches_tracked$")
"""Keys that no network reads: a counter of training steps."""


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a checkpoint by key, ``module.`` (of DataParallel) stripped; float32, or integers as they are.

    The file holds a state dict, or a dict with one under ``state_dict``.

    Raises BnnhwError: torch missing; FileFormatError: not a checkpoint, or it holds more than plain data.
    """
    state = _open(path)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state:
        raise FileFormatError(f"checkpoint {path} must hold a state dict, not {type(state).__name__}")
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in state.items():
        name = str(key).removeprefix("module.")
        if name in arrays:
            raise FileFormatError(f"checkpoint {path} must hold '{name}' once, not with and without 'module.'")
        arrays[name] = _array(path, str(key), value)
    return arrays


def _open(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise BnnhwError("importing a checkpoint needs torch: pip install 'bnnhw[torch]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for what is not a checkpoint or is damaged
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused:
            raise FileFormatError(
                f"checkpoint {path} must hold plain tensors only, and asks for {refused[1]}: "
                "refused, nothing of it was run"
            ) from None
        raise FileFormatError(f"{path} must be a PyTorch checkpoint, and is not (or is damaged)") from None


def _array(path: Path, key: str, value: Any) -> NDArray[Any]:
    import torch

    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_complex():
        raise FileFormatError(f"checkpoint {path}: '{key}' must be a dense real tensor, not {type(value).__name__}")
    tensor = value.detach()
    return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())


def check(
    path: Path,
    arch: str,
    state: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    ignored: re.Pattern[str] | None = None,
) -> State:
    """The arrays named by ``shapes``, in that order; anything missing, extra, wrongly shaped or not finite is refused.

    ``ignored``: keys that are no extras although nothing reads them.

    Raises FileFormatError naming the first such key and what it must be.
    """
    where = f"checkpoint {path} is not of arch {arch}"
    missing = [key for key in shapes if key not in state]
    if missing:
        raise FileFormatError(f"{where}: '{missing[0]}' is missing{_more(missing)}")
    unread = _unread(ignored).values()
    extra = [key for key in state if key not in shapes and not any(kind.search(key) for kind in unread)]
    if extra:
        raise FileFormatError(f"{where}: '{extra[0]}' is not one of its keys{_more(extra)}")
    for key, shape in shapes.items():
        if state[key].shape != shape:
            raise FileFormatError(f"{where}: '{key}' must have shape {shape}, not {state[key].shape}")
        if not np.issubdtype(state[key].dtype, np.floating):
            raise FileFormatError(f"{where}: '{key}' must be a float tensor, not {state[key].dtype}")
        if not np.isfinite(state[key]).all():
            raise FileFormatError(f"checkpoint {path}: '{key}' must be finite, not NaN or infinity")
    return {key: np.asarray(state[key], np.float32) for key in shapes}


def unused(state: Mapping[str, Any], ignored: re.Pattern[str] | None = None) -> list[str]:
    """A notice for every kind of key that is known and not used."""
    notices = []
    for name, kind in _unread(ignored).items():
        found = [key for key in state if kind.search(key)]
        if found:
            what = name or ", ".join(sorted({key.split(".")[0] for key in found}))
            notices.append(f"{len(found)} keys {what} are not needed and were left out")
    return notices


def _unread(ignored: re.Pattern[str] | None) -> dict[str, re.Pattern[str]]:
    """Kinds of keys that nothing reads, by what a notice calls them ("": by the layers of the keys)."""
    return {"num_batches_tracked": COUNTERS} | ({} if ignored is None else {"": ignored})


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
