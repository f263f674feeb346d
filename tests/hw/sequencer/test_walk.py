"""Walks against arithmetic: every position of random shapes, with idle cycles between, twice with other parameters."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned

from bnnhw.hw.sequencer.walk import NestedWalk, StripWalk
from tests.hw import play as kit

NAMES = ("i_move.load", "i_move.next", "i_move.y", "i_move.lx")
LOAD = (1, 0, 0, 0)
MOVES = (LOAD, (0, 1, 1, 1), (0, 1, 0, 1), (0, 1, 0, 0))
QUIET = dict.fromkeys(NAMES, 0)


def moves(rng, height, strip, strips):
    """(move, y, lx, r) in the order of positions; (None, ...) is an idle cycle."""
    last = None
    for y in range(height):
        for lx in range(strip):
            for r in range(strips):
                while rng.random() < 0.2:
                    yield (None, *(last or (0, 0, 0)))
                kind = 3 if r else 2 if lx else 1 if y else 0
                last = (y, lx, r)
                yield (MOVES[kind], *last)


def signals(rng, move):
    """A move's inputs; without one, y and lx say what they like."""
    return dict(zip(NAMES, move or (0, 0, *(int(v) for v in rng.integers(0, 2, 2))), strict=True))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shape", [unsigned(1), unsigned(7), signed(6), unsigned(12)], ids=str)
def test_nested_walk(seed, shape):
    rng = np.random.default_rng(seed)
    mask, inputs, expected = (1 << shape.width) - 1, [], []
    for _ in range(2):
        base, d_y, d_lx, d_r = (int(v) for v in rng.integers(0, mask + 1, 4))
        steps = {"i_d_y": d_y, "i_d_lx": d_lx, "i_d_r": d_r}
        started = False
        for move, y, lx, r in moves(rng, *rng.integers(1, 5, 3)):
            # the base is looked at only while loading, the steps only from then on
            now = {name: int(rng.integers(mask + 1)) for name in steps} if not started else steps
            now["i_base"] = base if move == LOAD else int(rng.integers(mask + 1))
            inputs.append(now | signals(rng, move))
            started |= move == LOAD
            value = base + y * d_y + lx * d_lx + r * d_r
            expected.append((kit.signed(value, shape.width) if shape.signed else value & mask) if started else None)
    seen = kit.play(NestedWalk(shape), [*inputs, QUIET], ["o_address"])
    for cycle, value in enumerate(expected):
        assert value is None or seen[cycle + 1]["o_address"] == value, f"cycle {cycle}"


@pytest.mark.parametrize("seed", range(40))
def test_strip_walk(seed):
    rng = np.random.default_rng(seed)
    strip, in_strip = (int(v) for v in rng.integers(1, 6, 2))
    height, strips = (int(v) for v in rng.integers(1, 5, 2))
    base, d_y, d_x = (int(v) for v in rng.integers(0, 256, 3))
    q, rem = divmod(in_strip, strip) if strips > 1 else (0, 0)
    steps = {
        "i_d_y": d_y,
        "i_d_x": d_x,
        "i_strip": strip,
        "i_d_strip": strip * d_x & 255,
        "i_q": q,
        "i_rem": rem,
        "i_d_rem": rem * d_x & 255,
    }
    dut = StripWalk(bank_width=5, position_width=4, address_width=8)
    inputs, expected = [], []
    for move, y, lx, r in moves(rng, height, in_strip, strips):
        given = steps | {"i_base": base} if move == LOAD else dict.fromkeys((*steps, "i_base"), 0)
        inputs.append(given | signals(rng, move))
        x = r * in_strip + lx
        values = {"o_bank": x // strip, "o_column": x % strip, "o_address": (base + y * d_y + x % strip * d_x) & 255}
        expected.append(values if move == LOAD or expected and expected[-1] else None)
    seen = kit.play(dut, [*inputs, QUIET], ["o_bank", "o_column", "o_address"])
    for cycle, values in enumerate(expected):
        assert values is None or seen[cycle + 1] == values, f"cycle {cycle}"
