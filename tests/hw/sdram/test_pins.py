"""In the netlist every pin is a register: data in reach nothing else, and all outputs come from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil

from bnnhw.boards import tools
from bnnhw.hw.sdram.controller import SdramController
from tests.hw.sdram.rig import at, small

SCRIPT = "read_rtlil top.il; hierarchy -top top; proc; flatten; opt -nodffe -nosdff; clean; write_json top.json"


@pytest.fixture(scope="module")
def netlist(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("netlist")
    part = small()
    (folder / "top.il").write_text(rtlil.convert(SdramController(part=part, timing=at(part)), name="top"))
    tools.run("yosys", ["-q", "-p", SCRIPT], folder, "yosys.log")
    return json.loads(Path(folder, "top.json").read_text())["modules"]["top"]


def users(netlist: Any, bits: set[int], flow: str) -> list[tuple[str, str]]:
    """(cell type, port) of every cell with one of these bits at a port of this direction."""
    found = []
    for cell in netlist["cells"].values():
        for port, direction in cell["port_directions"].items():
            if direction == flow and bits & set(cell["connections"][port]):
                found.append((cell["type"], port))
    return found


def test_data_in_reach_only_a_register(netlist: Any) -> None:
    """So no output depends on them in the same cycle, and the register can lie in the pins' cells."""
    bits = set(netlist["ports"]["pins__i"]["bits"])
    assert len(bits) == 16
    assert set(users(netlist, bits, "input")) == {("$dff", "D")}
    for name, port in netlist["ports"].items():
        assert name == "pins__i" or not bits & set(port["bits"])


@pytest.mark.parametrize("pin", ["cke", "cs", "command", "bank", "address", "mask", "o", "oe"])
def test_outputs_come_from_registers(netlist: Any, pin: str) -> None:
    bits = set(netlist["ports"][f"pins__{pin}"]["bits"])
    found = users(netlist, bits, "output")
    assert found
    assert {port for _, port in found} == {"Q"}


def test_ready_and_valid_do_not_depend_on_the_clients(netlist: Any) -> None:
    """No path from a client's ready or valid to another client."""
    drivers = {}
    for cell in netlist["cells"].values():
        inputs = [
            bit
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
            for bit in bits
        ]
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                drivers |= dict.fromkeys(bits, (cell["type"], inputs))

    def sources(bit: int, seen: set[int]) -> set[int]:
        if bit in seen or isinstance(bit, str):
            return set()
        seen.add(bit)
        kind, inputs = drivers.get(bit, ("port", []))
        if kind == "port":
            return {bit}
        if "dff" in kind or "mem" in kind:
            return set()
        return set().union(*(sources(other, seen) for other in inputs))

    names = {
        bit: name for name, port in netlist["ports"].items() if port["direction"] == "input" for bit in port["bits"]
    }
    outputs = {name: port["bits"] for name, port in netlist["ports"].items() if port["direction"] == "output"}
    reached = {(names[bit], name) for name, bits in outputs.items() for out in bits for bit in sources(out, set())}
    assert reached == set()
