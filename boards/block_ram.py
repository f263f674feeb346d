"""Pass over a yosys JSON netlist: flip-flops behind a block RAM become the block's own output register."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bnnhw.boards.netlist import Bit, Json

OUTPUT = re.compile(r"DO([AB])\d+")


def absorb_output_registers(design: Json) -> int:
    """Give block RAMs whose outputs all go to a plain flip-flop their output register, in place; how many got one.

    The output of a block RAM without it takes 5.7 ns on speed grade 6, a flip-flop's 0.5 ns. yosys does not use the
    register. Blocks with one read port are looked at: all bits in use must go to one flip-flop each and nowhere else,
    of the read clock, without reset, enabled whenever the block is read. Source: Lattice FPGA-TN-02204, ECP5 memory
    usage guide.
    """
    return sum(_module(module) for module in design["modules"].values())


def _module(module: Json) -> int:
    cells: dict[str, Json] = module.get("cells", {})
    readers: dict[Bit, list[tuple[str, str]]] = {}
    for name, cell in cells.items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"].get(pin) != "output":
                for bit in bits:
                    readers.setdefault(bit, []).append((name, pin))
    ports = {bit for port in module.get("ports", {}).values() for bit in port["bits"]}
    done = 0
    for cell in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        registers = _registers(cell, cells, readers, ports)
        if registers:
            _absorb(cell, registers, cells)
            done += 1
    return done


def _registers(
    ram: Json, cells: Mapping[str, Json], readers: Mapping[Bit, list[tuple[str, str]]], ports: set[Bit]
) -> dict[str, str]:
    """Flip-flop by output pin; empty where there is no one for every pin in use."""
    outputs = {
        pin: bit
        for pin, (bit,) in ram["connections"].items()
        if OUTPUT.fullmatch(pin) and (bit in readers or bit in ports)
    }
    side = _side(ram, outputs)
    if side is None:
        return {}
    found: dict[str, str] = {}
    for pin, bit in outputs.items():
        users = readers.get(bit, [])
        if bit in ports or len(users) != 1 or users[0][1] != "DI" or not _plain(cells[users[0][0]], ram, side):
            return {}
        found[pin] = users[0][0]
    return found


def _side(ram: Json, outputs: Iterable[str]) -> str | None:
    """The one port (A or B) that is read; None where both are or none is."""
    if _pseudo_dual(ram):
        return "B"
    sides = {pin[2] for pin in outputs}
    return sides.pop() if len(sides) == 1 else None


def _pseudo_dual(ram: Json) -> bool:
    """36 bits wide: both halves of the outputs belong to port B."""
    return int(ram["parameters"]["DATA_WIDTH_B"], 2) == 36


def _plain(register: Json, ram: Json, side: str) -> bool:
    """A flip-flop that the block's register can stand for."""
    if register["type"] != "TRELLIS_FF":
        return False
    pins, settings = register["connections"], register["parameters"]
    enable = pins.get("CE", ["1"]) if settings.get("CEMUX", "CE").strip() == "CE" else ["1"]
    return (
        pins["CLK"] == ram["connections"][f"CLK{side}"]
        and settings.get("CLKMUX", "CLK") == "CLK"
        and settings.get("CEMUX", "CE").strip() in ("CE", "1")
        and pins.get("LSR", ["0"]) == ["0"]
        and settings.get("REGSET", "RESET") == "RESET"
        and enable == ram["connections"][f"CE{side}"]
    )


def _absorb(ram: Json, registers: Mapping[str, str], cells: dict[str, Json]) -> None:
    side = _side(ram, registers)
    for pin, name in registers.items():
        ram["connections"][pin] = cells.pop(name)["connections"]["Q"]
    ram["connections"][f"OCE{side}"] = ram["connections"][f"CE{side}"]
    for half in "AB" if _pseudo_dual(ram) else (side,):
        ram["parameters"][f"REGMODE_{half}"] = "OUTREG"
