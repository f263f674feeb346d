"""Official DWR checkpoints: which of their keys is which array of a network, and their import.

The names are those of the official code (pingxue-hfut/DWR at 13e818d), whose training scripts write them. Networks for
SD-BNN compute thresholds from each image, which the engine does not; there is no importer of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bnnhw.compiler.frontend import checkpoint
from bnnhw.compiler.frontend.dwr.arch import ARCHS, Arch, Backbone, Vgg
from bnnhw.compiler.frontend.dwr.arrays import FloatArray, Saved
from bnnhw.compiler.frontend.dwr.graph import build
from bnnhw.compiler.frontend.nodes import check_variances
from bnnhw.compiler.ir import Graph

SD = "dwr_vgg_small_sd"
Keys = dict[str, tuple[str, tuple[int, ...]]]
"""Key in a checkpoint and shape there of each array, by node and part."""

_IMAGENET = {
    "stem.prelu": "prelu", "align_stem.conv": "alg.alg.0", "align_stem.bn": "alg.alg.1",
    "align_stem.prelu": "alg.prelu", "conv": "binary_conv", "bn": "bn1", "sign": "move0", "out.bias_in": "move1",
    "out.prelu": "prelu", "out.bias_out": "move2", "down.conv": "downsample.1", "down.bn": "downsample.2",
}  # fmt: skip
_CIFAR = {
    "conv": "conv{n}", "bn": "bn{n}", "sign": "s{n}0", "out.bias_in": "s{n}1", "out.prelu": "nonlinear{n}",
    "out.bias_out": "s{n}2", "down.conv": "shortcut.0", "down.bn": "shortcut.1", "align.conv": "alg2.convalg.0",
    "align.bn": "alg2.convalg.1", "fc": "linear",
}  # fmt: skip
"""Names of nodes within a block, or outside of blocks; ``n``: 1 or 2, of the block's convolutions."""


def official(arch: Arch, node: str) -> str:
    """What the official code calls the module of a node."""
    if isinstance(arch, Vgg):
        return _vgg(arch, node)
    names = _IMAGENET if arch.style == "imagenet" else _CIFAR
    found = re.fullmatch(r"(layer\d+)\.(\d+)\.(.+)", node)
    if found is None:
        return names.get(node, node)
    stage, number, part = found[1], int(found[2]), found[3]
    if arch.style == "imagenet":
        return f"{stage}.{number}.{names[part]}"
    return f"{stage}.{number // 2}.{names[part].format(n=number % 2 + 1)}"


def _vgg(arch: Vgg, node: str) -> str:
    at, _, part = node.partition(".")
    if at.startswith("hidden"):
        return f"fc{at.removeprefix('hidden')}.{1 if part == 'bn' else 0}"
    if at == "fc":
        return "fc" if arch.hidden is None else "fc3"
    number = int(at.removeprefix("conv"))
    if arch.hidden is not None:  # one list of convolutions, batch norms, Hardtanh and pools
        place = 3 * number + sum(pool < number for pool in arch.pooled)
        return f"features.{place + (part == 'bn')}"
    if number == len(arch.widths):
        return f"alg2.convalg.{int(part == 'bn')}"
    return f"{'bn' if part == 'bn' else 'conv'}{number}"


def keys(arch: Arch) -> Keys:
    """What a checkpoint of ``arch`` holds."""
    found: Keys = {}

    def want(name: str, shape: tuple[int, ...]) -> FloatArray:
        node, part = name.rsplit(".", 1)
        module, saved = official(arch, node), shape
        if module.endswith("binary_conv") and isinstance(arch, Backbone) and not arch.react:
            part, saved = "weights", (int(np.prod(shape)), 1)
        elif node.endswith("sign") or "bias_" in node:
            saved = (1, *shape, 1, 1)
        elif node == "align_stem.conv":  # of a convolution with a group for each channel
            saved = (*shape, 1, 1, 1)
        elif node == "fc" or node.startswith("hidden"):
            saved = shape[:2]
        found[name] = f"{module}.{part}", saved
        return np.ones(shape, np.float32)

    build(arch, Saved(want))
    return found


def import_checkpoint(path: Path, name: str) -> Graph:
    """The network in a checkpoint of the official training scripts; errors as `checkpoint.read` and `.check`."""
    arch, state = ARCHS[name], checkpoint.read(path)
    named = keys(arch)
    checked = checkpoint.check(path, name, state, dict(named.values()))
    check_variances(path, checked)
    arrays = Saved(lambda at, shape: checked[named[at][0]].reshape(shape))
    notices = checkpoint.unused(state)
    return build(arch, arrays, name=name, weights=f"imported from {path.name}", notices=notices)


def importers() -> dict[str, Callable[[Path], Graph]]:
    """Importers of checkpoint files by architecture name."""
    return {name: partial(import_checkpoint, name=name) for name in ARCHS if name != SD}


__all__ = ["importers", "keys", "official"]
