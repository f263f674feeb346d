"""Networks that come with the package: by name, with what a table of them shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bnnhw.compiler.frontend import adabin, pokebnn, snn
from bnnhw.compiler.ir import Binarize, BinaryConv, Conv, Flatten, Graph, Input, Levels, MaxPool, Shortcut
from bnnhw.compiler.ir.file import load as load_file
from bnnhw.errors import BnnhwError

WEIGHTS = Path(__file__).parent / "weights"
SUFFIX = ".bnn"
INPUT_BITS = 8
"""Bits of a multi-bit activation."""

_NETWORKS: dict[str, Callable[[], Graph]] = {
    "adabin_r20": adabin.untrained_r20,
    "snn_digits": lambda: load_file(WEIGHTS / f"snn_digits{SUFFIX}"),
}
for family in (snn, pokebnn):
    _NETWORKS |= {name: partial(family.untrained, name) for name in family.ARCHS}
RECIPES = ("adabin_r20", "dwr_r20", "ftbnn_r20", "snn_digits", "snn_r20")


@dataclass(frozen=True)
class Info:
    """What ``bnnhw models`` tells of a network.

    ``macs``: multiply-accumulates an image; ``ace``: the same times weight bits times activation bits (PokeBNN);
    ``weight_bits``: bits of all stored weights (an index of tau bits for a sub-bit kernel, and the codebook);
    ``trained``: on what, or "untrained"; ``input``: (height, width, channels).
    """

    name: str
    paper: str
    macs: int
    ace: int
    weight_bits: int
    trained: str
    input: tuple[int, int, int]


def names() -> list[str]:
    """Names that `load` knows, sorted."""
    return sorted(_NETWORKS)


def recipes() -> list[str]:
    """Names of the networks that can be trained here, sorted."""
    return sorted(RECIPES)


def load(name_or_path: str | Path) -> Graph:
    """A network of the catalogue by name, or from a .bnn file.

    All but those with a recipe have random weights: they show what the hardware costs. Trained weights are imported.

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
    shapes = graph.shapes()
    macs = ace = bits = 0
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, BinaryConv | Conv):
            continue
        size = op.sign.size if isinstance(op, BinaryConv) else op.weight.size
        work = size * shapes[node.name][1] * shapes[node.name][2]
        width = 1 if isinstance(op, BinaryConv) else op.weight_bits
        macs += work
        ace += work * width * _operand_bits(graph, node.name)
        if isinstance(op, BinaryConv) and op.words is not None and op.index is not None:
            bits += op.index.size * (len(op.words) - 1).bit_length() + op.words.size
        else:
            bits += size * width
    image = graph.input.op
    assert isinstance(image, Input)
    meta = graph.meta
    return Info(
        name or str(meta.get("name", "")),
        str(meta.get("paper", "")),
        macs,
        ace,
        bits,
        str(meta.get("weights", "untrained")),
        (image.height, image.width, image.channels),
    )


def _operand_bits(graph: Graph, name: str) -> int:
    """Bits of the map that a layer reads."""
    source = graph[graph[name].inputs[0]]
    while isinstance(source.op, MaxPool | Flatten | Shortcut):
        source = graph[source.inputs[0]]
    if isinstance(source.op, Levels):
        return source.op.bits
    return 1 if isinstance(source.op, Binarize) else INPUT_BITS
