"""Output registers of block RAMs: taken where a flip-flop does the same, left alone everywhere else."""

from __future__ import annotations

import copy

import pytest

from bnnhw.boards.block_ram import absorb_output_registers

CLOCK, ENABLE = 2, 3


def register(data, out, **changes):
    pins = {"CLK": [CLOCK], "DI": [data], "Q": [out], "CE": [ENABLE]} | changes.pop("connections", {})
    directions = dict.fromkeys(pins, "input") | {"Q": "output"}
    parameters = {"CEMUX": "CE", "CLKMUX": "CLK", "REGSET": "RESET"} | changes
    return {"type": "TRELLIS_FF", "parameters": parameters, "connections": pins, "port_directions": directions}


def design(width=18, enable=ENABLE, outputs="BB"):
    """A block RAM with two outputs in use, a register behind each, their outputs at the module's port."""
    pins = {f"CLK{outputs[0]}": [CLOCK], f"CE{outputs[0]}": [enable], f"OCE{outputs[0]}": ["1"]}
    pins |= {f"DO{outputs[0]}0": [10], f"DO{outputs[1]}1": [11], "DOB7": [12]}
    directions = {pin: "output" if pin.startswith("DO") else "input" for pin in pins}
    parameters = {"DATA_WIDTH_B": f"{width:b}", "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}
    ram = {"type": "DP16KD", "parameters": parameters, "connections": pins, "port_directions": directions}
    cells = {"ram": ram, "r0": register(10, 20), "r1": register(11, 21)}
    return {"modules": {"top": {"cells": cells, "ports": {"o": {"bits": [20, 21]}}}}}


def test_absorbed():
    netlist = design()
    assert absorb_output_registers(netlist) == 1
    cells = netlist["modules"]["top"]["cells"]
    assert list(cells) == ["ram"]
    assert cells["ram"]["connections"] == {
        "CLKB": [CLOCK], "CEB": [ENABLE], "OCEB": [ENABLE], "DOB0": [20], "DOB1": [21], "DOB7": [12],
    }  # fmt: skip
    assert cells["ram"]["parameters"]["REGMODE_B"] == "OUTREG"
    assert cells["ram"]["parameters"]["REGMODE_A"] == "NOREG"


def test_absorbed_at_port_a():
    netlist = design(outputs="AA")
    assert absorb_output_registers(netlist) == 1
    ram = netlist["modules"]["top"]["cells"]["ram"]
    assert (ram["parameters"]["REGMODE_A"], ram["parameters"]["REGMODE_B"]) == ("OUTREG", "NOREG")
    assert ram["connections"]["OCEA"] == [ENABLE]


def test_wide_memories_use_both_halves():
    netlist = design(width=36, outputs="BA")
    ram = netlist["modules"]["top"]["cells"]["ram"]
    assert absorb_output_registers(netlist) == 1
    assert (ram["parameters"]["REGMODE_A"], ram["parameters"]["REGMODE_B"]) == ("OUTREG", "OUTREG")


def test_always_enabled():
    netlist = design(enable="1")
    cells = netlist["modules"]["top"]["cells"]
    cells["r0"] = register(10, 20, CEMUX="1 ")
    cells["r1"]["connections"]["CE"] = ["1"]
    assert absorb_output_registers(netlist) == 1


OTHERS = {
    "reset": register(11, 21, connections={"LSR": [5]}),
    "starts at 1": register(11, 21, REGSET="SET"),
    "another clock": register(11, 21, connections={"CLK": [9]}),
    "falling edge": register(11, 21, CLKMUX="INV"),
    "another enable": register(11, 21, connections={"CE": [9]}),
    "always enabled": register(11, 21, CEMUX="1"),
    "a LUT": {"type": "LUT4", "parameters": {}, "connections": {"A": [11]}, "port_directions": {"A": "input"}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_left_alone(name):
    netlist = design()
    netlist["modules"]["top"]["cells"]["r1"] = OTHERS[name]
    before = copy.deepcopy(netlist)
    assert absorb_output_registers(netlist) == 0
    assert netlist == before


def test_left_alone_with_other_users():
    netlist = design()
    netlist["modules"]["top"]["cells"]["r2"] = register(11, 22)
    assert absorb_output_registers(netlist) == 0
    netlist = design()
    netlist["modules"]["top"]["ports"]["o"]["bits"].append(10)
    assert absorb_output_registers(netlist) == 0


def test_left_alone_where_both_ports_are_read():
    assert absorb_output_registers(design(outputs="BA")) == 0
