"""What a network needs beside the array: how wide a front unit is, and how many columns' weights are loaded a cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bnnhw.compiler.plan.build import Analysis
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.shape import Limits, Shape
from bnnhw.compiler.plan.uses import INPUT_BITS
from bnnhw.errors import DoesNotFitError
from bnnhw.spec.memory import BLOCK_BITS
from bnnhw.spec.network import Conv
from bnnhw.spec.sdram import SdramSetup

FETCH_PARTS = (1, 2, 4, 8, 16)
"""Beats of a word of the weight buffer."""
WINDOW_SHARE = 0.5
"""Share of the block RAM that the image's windows may take; beyond it a front unit computes its convolution."""
FRONT_SHARE = 0.75
"""Share of the multipliers that a front unit may take."""
LEAST_COLUMNS, MOST_COLUMNS = 2, 16


def front_columns(found: Analysis, limits: Limits, lanes: int) -> int:
    """Columns of a front unit for so many lanes: none where the image's windows leave half of the block RAM, else as
    `most_columns`."""
    if _window_bits(found) < WINDOW_SHARE * limits.bram18k * BLOCK_BITS:
        return 0
    return most_columns(found, limits, lanes)


def most_columns(found: Analysis, limits: Limits, lanes: int) -> int:
    """As many columns of a front unit as leave the lanes their multipliers. Raises UnsupportedError where it cannot do
    the image's convolution."""
    front_layers(found.network, found.uses)
    conv = _image_conv(found)
    columns = min(int(FRONT_SHARE * limits.dsp) // conv.window.kernel, len(conv.weight), MOST_COLUMNS)
    return max(columns // lanes * lanes, lanes, LEAST_COLUMNS)


def check_windows(found: Analysis, limits: Limits) -> None:
    """Raises DoesNotFitError where the windows of the image alone need more than all block RAMs."""
    need = -(-_window_bits(found) // BLOCK_BITS)
    if need > limits.bram18k:
        raise DoesNotFitError(
            f"block RAMs of the image windows of network {found.network.name} must be at most {limits.bram18k}, not "
            f"{need}: its shape needs a front unit"
        )


def fetches(found: Analysis, whole: Shape, external: SdramSetup | None) -> Iterator[Shape]:
    """The shape with every fetch width that still carries a codebook's beats; an external memory's 16 bits a cycle
    need but the narrowest."""
    books = [layer.codebook for layer in found.network.layers if isinstance(layer, Conv)]
    needed = max((1 << book.tau for book in books if book is not None), default=0)
    fits = [n for n in FETCH_PARTS if whole.cols % n == 0 and (whole.cols // n) * whole.depth >= needed]
    for part in fits[-1:] if external is not None else fits:
        yield replace(whole, fetch=whole.cols // part)


def _image_conv(found: Analysis) -> Conv:
    """The first layer that reads the image."""
    conv = found.network.layers[found.uses.bits(found.network.input)[0]]
    assert isinstance(conv, Conv)
    return conv


def _window_bits(found: Analysis) -> int:
    """What an array without a front unit stores of the image, at least: two frames' windows."""
    conv = _image_conv(found)
    out = found.network.out_tensor(conv)
    return 2 * INPUT_BITS * out.height * out.width * conv.weight[0].size


__all__ = ["check_windows", "fetches", "front_columns", "most_columns"]
