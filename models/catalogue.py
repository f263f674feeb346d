"""Networks that come with the package: by name, with what a table of them shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bnnhw.compiler.frontend import adabin, dwr, ftbnn, pokebnn, snn, vgg
from bnnhw.compiler.ir import Graph, Input
from bnnhw.compiler.ir.file import load as load_file
from bnnhw.errors import BnnhwError
from bnnhw.models.cost import Cost, cost

WEIGHTS = Path(__file__).parent / "weights"
SUFFIX = ".bnn"

_NETWORKS: dict[str, Callable[[], Graph]] = {}
for family in (adabin, snn, vgg, pokebnn, dwr, ftbnn):
    _NETWORKS |= {name: partial(family.untrained, name) for name in family.ARCHS}
_NETWORKS |= {path.stem: partial(load_file, path) for path in WEIGHTS.glob(f"*{SUFFIX}")}
RECIPES = (
    "adabin_r18_cifar", "adabin_r20", "adabin_vgg", "dwr_r20", "ftbnn_r20", "pokebnn_cifar", "real_r20", "snn_digits",
    "snn_r18", "snn_r20", "snn_vgg",
)  # fmt: skip


@dataclass(frozen=True)
class Info:
    """What ``bnnhw models`` tells of a network.

    ``cost``: of one image; ``trained``: on what, or "untrained"; ``input``: (height, width, channels).
    """

    name: str
    paper: str
    cost: Cost
    trained: str
    input: tuple[int, int, int]

    def flat(self) -> dict[str, Any]:
        """All figures side by side, for JSON."""
        facts = {"name": self.name, "paper": self.paper, "trained": self.trained, "input": list(self.input)}
        return facts | asdict(self.cost)


def names() -> list[str]:
    """Names that `load` knows, sorted."""
    return sorted(_NETWORKS)


def recipe_names() -> list[str]:
    """Names of the networks that can be trained here, sorted."""
    return sorted(RECIPES)


def load(name_or_path: str | Path) -> Graph:
    """A network of the catalogue by name, or from a .bnn file.

    Those without a file in WEIGHTS have random weights: they show what the hardware costs. Others are trained.

    Raises BnnhwError for a name that is neither known nor a file; FileFormatError for a file that is not a network.
    """
    text = str(name_or_path)
    if text in _NETWORKS:
        return _NETWORKS[text]()
    if Path(text).suffix == SUFFIX or Path(text).exists():
        return load_file(text)
    raise BnnhwError(f"model must be one of {', '.join(names())}, or the path of a {SUFFIX} file, not '{text}'")


def info(graph: Graph, name: str | None = None) -> Info:
    """Figures of a network; ``name`` replaces the one in its metadata."""
    image = graph.input.op
    assert isinstance(image, Input)
    meta = graph.meta
    return Info(
        name or str(meta.get("name", "")),
        str(meta.get("paper", "")),
        cost(graph),
        str(meta.get("weights", "untrained")),
        (image.height, image.width, image.channels),
    )
