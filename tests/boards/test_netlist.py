"""Passes over netlists: carry pins freed where nothing depends on them, and nowhere else; LUTs counted by module."""

from bnnhw.boards.netlist import CarryRelaxed, lut_sites, relax_carry

XOR_AB = f"{0b0110 * 0x0011:016b}"  # A xor B with C, D high giving 0: the LUT2 of a half whose LUT4 is 0 when D = 1
ADD = f"{0b1001011010101010:016b}"  # yosys's half of an adder


def carry(*, cin="0", cout=(9,), s0=(), init0=XOR_AB, d0="1", inject="NO"):
    return {
        "type": "CCU2C",
        "parameters": {"INIT0": init0, "INIT1": ADD, "INJECT1_0": inject, "INJECT1_1": "NO"},
        "connections": {
            **{"A0": [2], "B0": [3], "C0": ["0"], "D0": [d0], "A1": [4], "B1": [5], "C1": ["0"], "D1": ["1"]},
            **{"CIN": [cin], "S0": list(s0), "S1": [6], "COUT": list(cout)},
        },
    }


def relaxed(*cells, ports=()):
    module = {
        "cells": {f"c{n}": cell for n, cell in enumerate(cells)},
        "ports": {"p": {"bits": [2, 3, 4, 5, 6, *ports]}},
    }
    result = relax_carry({"modules": {"top": module}})
    return result, [(cell["connections"]["CIN"][0], cell["connections"]["COUT"][0]) for cell in cells]


def test_injecting_chain_loses_its_constant_carry_in_and_unused_carry_out():
    assert relaxed(carry()) == (CarryRelaxed(outputs=1, inputs=1), [("x", "x")])


def test_used_carry_out_stays():
    assert relaxed(carry(), carry(cin=9, cout=(10,))) == (CarryRelaxed(1, 1), [("x", 9), (9, "x")])
    assert relaxed(carry(), ports=(9,)) == (CarryRelaxed(0, 1), [("x", 9)])


def test_carry_in_stays_where_the_first_half_depends_on_it():
    assert relaxed(carry(init0=ADD))[1] == [("0", "x")]  # the carry goes on where A xor B
    assert relaxed(carry(d0=7), ports=(7,))[1] == [("0", "x")]  # with D low the LUT4 is not 0
    assert relaxed(carry(s0=(8,)), ports=(8,))[1] == [("0", "x")]  # the sum is the carry in itself
    assert relaxed(carry(s0=(8,), inject="YES"), ports=(8,))[1] == [("x", "x")]
    assert relaxed(carry(s0=(8,)))[1] == [("x", "x")]  # the sum goes nowhere
    assert relaxed(carry(cin=7), ports=(7,))[1] == [(7, "x")]  # no constant


def comb(fci=(), fco=()):
    return {"type": "TRELLIS_COMB", "connections": {"FCI": list(fci), "FCO": list(fco)}}


def test_lut_sites_by_module():
    cells = {
        "a.x": comb(),
        "a.y$CCU2_COMB0": comb(fci=[1], fco=[2]),
        "a.y$CCU2_COMB1": comb(fci=[2], fco=[3]),
        "$nextpnr_CCU2C_0$CCU2_COMB0": comb(fco=[4]),  # leads a constant in
        "$nextpnr_CCU2C_0$CCU2_COMB1": comb(fci=[4], fco=[1]),
        "$nextpnr_CCU2C_1$CCU2_COMB0": comb(fci=[3], fco=[5]),  # leads the carry out
        "$nextpnr_CCU2C_1$CCU2_COMB1": comb(fci=[5]),
        "ab.z": comb(),
        "a.ram$RAMW": {"type": "TRELLIS_RAMW", "connections": {}},
        "a.q": {"type": "TRELLIS_FF", "connections": {}},
    }
    design = {"modules": {"top": {"cells": cells}}}
    assert lut_sites(design, "top", ["a", "ab", "b"]) == {"a": 9, "ab": 1, "b": 0}
