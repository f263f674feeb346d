"""Activation memory against the layout of spec.program: halo copies, strips, slots; when a write can be read."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.memory.activation import ActivationMemory
from bnnhw.spec.program import Widths
from bnnhw.spec.timing import ACTIVATION_WRITE
from tests.hw import play as kit


def geometry(strip, halo_low, halo_high, width, base=0, q=1):
    return {"strip": strip, "halo_low": halo_low, "halo_high": halo_high, "width": width, "base": base, "q": q}


def word(g, y, column, group):
    """Address of group ``group`` of the pixel at (y, x') of a replicated map of one plane."""
    cell = y * (g["halo_low"] + g["strip"] + g["halo_high"]) + g["halo_low"] + column
    return g["base"] + cell * g["q"] + group


CASES = [  # rows, lanes, slots, reach, geometry
    (1, 1, 1, 0, geometry(4, 0, 0, 4)),
    (1, 2, 1, 1, geometry(3, 1, 1, 3, base=5)),
    (4, 2, 2, 1, geometry(2, 1, 1, 8, q=2)),
    (4, 3, 3, 1, geometry(2, 2, 2, 7, base=3)),
    (3, 1, 2, 1, geometry(3, 1, 0, 9)),
    (3, 1, 2, 1, geometry(3, 0, 2, 8)),
    (5, 2, 1, 2, geometry(1, 1, 2, 5)),
    (5, 2, 2, 2, geometry(1, 2, 1, 4, base=9, q=3)),
    (7, 1, 1, 2, geometry(2, 3, 4, 13)),
    (4, 2, 2, 3, geometry(1, 3, 3, 4)),
    (6, 2, 1, 2, geometry(3, 1, 1, 17)),  # reaches further than this map needs
]


SHARED = [  # slots in one block RAM: 4, 2 and 2, none
    (4, 8, 4, 1, geometry(2, 1, 1, 8, base=300, q=2)),
    (4, 2, 6, 1, geometry(2, 2, 2, 7, base=700)),
    (3, 16, 4, 1, geometry(3, 1, 0, 9, base=150)),
    (3, 9, 2, 1, geometry(3, 0, 2, 8, base=1100)),
]


@pytest.mark.parametrize(
    ("rows", "lanes", "slots", "reach", "g", "shared"),
    [(*case, 0) for case in [*CASES, *SHARED]] + [(*case, n) for case, n in zip(SHARED, (4, 2, 2, 1), strict=True)],
)
def test_every_bank_holds_its_strip_and_halos(engine_config, rows, lanes, slots, reach, g, shared):
    rng = np.random.default_rng(rows * 100 + slots)
    height, limit = 3, word(g, 3, g["strip"] + g["halo_high"], g["q"])
    config = engine_config(
        rows=rows, lanes=lanes, depth=lanes * slots, bit_words=limit, halo_reach=reach, kernel=5, map_size=17,
        alike=bool(shared),
    )  # fmt: skip
    assert config.bank_slots == max(shared, 1)
    mask = (1 << Widths.of(config).bit_addr) - 1
    assert max(g["halo_low"], g["halo_high"]) <= reach * g["strip"]
    expected = np.zeros((rows, slots, limit), int)
    inputs = []
    pixels = [(y, x, j) for y in range(height) for x in range(g["width"]) for j in range(g["q"])]
    for n in rng.permutation(len(pixels)):
        y, x, j = pixels[n]
        if rng.random() < 0.1:
            continue  # never written
        bank, column = divmod(x, g["strip"])
        which, bits = int(rng.integers(1, 1 << slots)), int(rng.integers(1 << lanes))
        pixel = {"slots": which, "bank": bank, "column": column, "address": word(g, y, column, j) & mask, "bits": bits}
        pixel |= {"strip": g["strip"], "d_strip": g["strip"] * g["q"] & mask}
        pixel |= {"halo_low": g["halo_low"], "halo_high": g["halo_high"]}
        while rng.random() < 0.3:  # not valid: must not be stored
            inputs.append({"i_write_valid": 0, "i_write": {**pixel, "bits": ~bits & (1 << lanes) - 1}})
        inputs.append({"i_write_valid": 1, "i_write": pixel})
        for r in range(rows):
            there = x - r * g["strip"]
            if -g["halo_low"] <= there < g["strip"] + g["halo_high"]:
                for s in range(slots):
                    if which >> s & 1:
                        expected[r, s, word(g, y, there, j)] = bits
    inputs += [{"i_write_valid": 0}] * ACTIVATION_WRITE
    low = g["base"] - g["halo_low"] if shared else 0
    count = limit - low
    reads = [low + rng.permutation(count) for _ in range(slots)]  # every slot has its own address ...
    if shared:
        reads = reads[:1] * slots  # ... or all the same
    first = len(inputs)
    inputs += [{"i_address": [int(reads[s][n]) for s in range(slots)]} for n in range(count)] + [{}] * 2
    seen = kit.play(ActivationMemory(config), inputs, ["o_bits"])
    for n in range(count):
        want = [kit.pack((expected[r, s, reads[s][n]] for s in range(slots)), lanes) for r in range(rows)]
        assert seen[first + n + 2]["o_bits"] == want, f"read {n}"


def test_write_latency(engine_config):
    config = engine_config(rows=2, lanes=4, depth=4, bit_words=4, halo_reach=1, kernel=3, map_size=4)
    dut = ActivationMemory(config)
    assert dut.write_latency == ACTIVATION_WRITE
    pixel = {"slots": 1, "bank": 0, "column": 0, "address": 1, "strip": 1, "d_strip": 1, "bits": 9}
    pixel |= {"halo_low": 1, "halo_high": 1}
    write = {"i_write_valid": 1, "i_write": pixel, "i_address": [1]}
    seen = kit.play(dut, [write, *[{"i_write_valid": 0}] * 6], ["o_bits"])
    # the first address that gives the new word is that of cycle ACTIVATION_WRITE; it answers two cycles later
    assert [now["o_bits"][0] for now in seen] == [0] * (ACTIVATION_WRITE + 2) + [9] * (5 - ACTIVATION_WRITE)
