"""Constants made local: addresses of small RAMs that repeat a bit, zeros beside the multipliers that need them."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from bnnhw.boards.constants import fold_addresses, near_zeros


def ram(read, write, initial="x" * 64):
    pins = {"RAD": list(read), "WAD": list(write), "DI": [90, 91, 92, 93], "DO": [94, 95, 96, 97]}
    return {"type": "TRELLIS_DPR16X4", "parameters": {"INITVAL": initial}, "connections": pins}


def design_of(**cells):
    return {"modules": {"top": {"attributes": {}, "cells": cells}}}


def read_back(cell, steps):
    """What a RAM gives in ``steps`` of (values of bits 0..7, word that is written there): reads, then writes."""
    words, seen = {}, []
    for bits, word in steps:
        place = {pin: tuple(b if isinstance(b, str) else str(bits[b]) for b in cell["connections"][pin]) for pin in
                 ("RAD", "WAD")}  # fmt: skip
        seen.append(words.get(place["RAD"]))
        words[place["WAD"]] = word
    return seen


PIN = st.one_of(st.integers(0, 3), st.sampled_from("01"))
STEPS = st.lists(st.tuples(st.lists(st.integers(0, 1), min_size=8, max_size=8), st.integers()), max_size=40)


@given(st.lists(PIN, min_size=4, max_size=4), st.lists(PIN, min_size=4, max_size=4), STEPS)
def test_folded_addresses_find_what_was_written(read, write, steps):
    cell = ram(read, [pin if isinstance(pin, str) else pin + 4 for pin in write])
    folded = copy.deepcopy(cell)
    pins = fold_addresses(design_of(ram=folded))
    assert read_back(folded, steps) == read_back(cell, steps)
    assert (pins == 0) == (folded == cell)


def test_constant_address_bits_are_folded():
    cell = ram([2, 3, "0", "0"], [4, 5, "0", "0"])
    assert fold_addresses(design_of(ram=cell)) == 4
    assert cell["connections"]["RAD"] == [2, 3, 2, 2]
    assert cell["connections"]["WAD"] == [4, 5, 4, 4]


def test_other_rams_stay():
    for cell in (
        ram([2, 3, "0", "0"], [4, 5, "1", "1"]),  # other words than those that are written
        ram("0000", "0000"),
        ram([2, 3, "0", "0"], [4, 5, "0", "0"], "0" * 63 + "1"),  # with contents
    ):
        before = copy.deepcopy(cell)
        assert fold_addresses(design_of(ram=cell)) == 0
        assert cell == before


def multiplier(bel, **pins):
    return {"type": "MULT18X18D", "attributes": {"BEL": bel} if bel else {}, "connections": pins}


def test_every_block_of_multipliers_has_its_own_zero():
    cells = {
        "a": multiplier("X4/Y10/MULT18_0", RST0=["0"], SOURCEA=["0"], SIGNEDA=["1"], A0=["0"], CLK0=[7]),
        "b": multiplier("X9/Y10/MULT18_5", RST0=["0"], A0=[41]),
        "c": multiplier("X13/Y10/MULT18_0", SOURCEB=["0"]),
        "d": multiplier(None, RST0=["0"]),
        "e": multiplier("X4/Y34/MULT18_0", RST0=[8]),
    }
    design = design_of(**cells)
    assert near_zeros(design) == 2
    zeros = design["modules"]["top"]["cells"]
    pins = {name: {pin: bits[0] for pin, bits in cell["connections"].items()} for name, cell in cells.items()}
    assert pins["a"] == {"RST0": 42, "SOURCEA": 42, "SIGNEDA": "1", "A0": "0", "CLK0": 7}
    assert pins["b"] == {"RST0": 42, "A0": 41}
    assert pins["c"] == {"SOURCEB": 43}
    assert (pins["d"], pins["e"]) == ({"RST0": "0"}, {"RST0": 8})
    assert [zeros[f"$zero$X{x}Y10"]["connections"]["Z"] for x in (4, 13)] == [[42], [43]]
