"""Trained networks from elsewhere as float networks: checkpoints of known architectures, PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bnnhw.compiler.frontend import adabin, dwr, snn
from bnnhw.compiler.ir import Graph
from bnnhw.errors import BnnhwError

ARCHS: dict[str, Callable[[Path], Graph]] = adabin.importers() | snn.importers() | dwr.importers()
"""Importers of checkpoints by architecture name."""


def import_checkpoint(src: str | Path, arch: str) -> Graph:
    """The network in checkpoint file ``src``, whose architecture is ``arch`` (one of ARCHS). Needs torch.

    What was left out of the checkpoint is told in ``meta["notices"]``, a list of lines.

    Raises BnnhwError: unknown arch, no such file, torch missing; FileFormatError: the file is not a checkpoint of
    that architecture, or opening it would run code.
    """
    if arch not in ARCHS:
        raise BnnhwError(f"arch must be one of {', '.join(sorted(ARCHS))}, not '{arch}'")
    path = Path(src)
    if not path.is_file():
        raise BnnhwError(f"checkpoint must be a file, not '{src}': there is no such file")
    return ARCHS[arch](path)


__all__ = ["ARCHS", "import_checkpoint"]
