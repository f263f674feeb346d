"""Multiplier of any widths against Python's product, from generic registers and from the chip's own blocks."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw import multiplier
from bnnhw.hw.multiplier import Multiplier
from bnnhw.spec.multiplier import BLOCK, SMALL, blocks, parts
from tests.hw import play as kit

WIDTHS = [(2, 2), (3, 9), (18, 18), (19, 4), (34, 22), (35, 18), (30, 36), (8, 40), (53, 24), (1, 20)]


def operands(rng, width, count):
    """Random values, and the extremes."""
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    special = [low, high, 0, min(high, 1), -1, low // 2, high // 3]
    return [int(v) for v in rng.choice(special, count)] + [int(v) for v in rng.integers(low, high + 1, count)]


def check(dut, a_width, b_width):
    rng = np.random.default_rng(a_width * 64 + b_width)
    a, b = operands(rng, a_width, 100), operands(rng, b_width, 100)
    inputs = [{"a": x, "b": y} for x, y in zip(a, b, strict=True)]
    seen = kit.play(dut, [*inputs, *[{}] * Multiplier.latency], ["o"])
    assert [now["o"] for now in seen[Multiplier.latency :]] == [x * y for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize(("a", "b"), WIDTHS)
def test_products(a, b):
    check(Multiplier(a, b), a, b)


@pytest.mark.parametrize(("a", "b"), [(18, 18), (34, 22), (20, 40)])
def test_products_of_blocks(chip_blocks, a, b):
    """The Instance's pins: operands extended by their sign, all registers on, signed."""
    made = chip_blocks(multiplier)
    check(Multiplier(a, b), a, b)
    assert len(made) == blocks(a, b)


def test_blocks():
    assert parts(BLOCK) == [BLOCK]
    assert parts(35) == [BLOCK, BLOCK]
    assert blocks(BLOCK, BLOCK) == 1
    assert blocks(34, 22) == 4
    assert blocks(8, SMALL // 8) == 0
