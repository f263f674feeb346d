"""Passes over a yosys JSON netlist that make constants local.

nextpnr drives all constant pins that are no setting of their cell from two LUTs, one of zeros and one of ones. On a
crowded chip the zeros' net has thousands of pins, and the router's last iterations are about little else: each of them
looks through that whole net (router1, snn_r18: nearly a third of the routing time).
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import count

from bnnhw.boards.netlist import Bit, Json, bit_uses, own_modules

SITE = re.compile(r"X(\d+)/Y(\d+)/MULT18_(\d+)")
ZEROS = re.compile(r"RST\d|SOURCE[AB]")
"""Pins of a multiplier that only a wire can hold at 0."""


def fold_addresses(design: Json) -> int:
    """Constant address bits of 16x4 RAMs repeat the lowest address bit that is none, in place; how many pins did.

    What is written below an address is read below the same one, wherever it lies. RAMs that begin with contents stay
    as they are.
    """
    pins = 0
    cells = (cell for module in own_modules(design).values() for cell in module["cells"].values())
    for cell in (cell for cell in cells if cell["type"] == "TRELLIS_DPR16X4"):
        read, write = cell["connections"]["RAD"], cell["connections"]["WAD"]
        used = [n for n in range(4) if isinstance(read[n], int) and isinstance(write[n], int)]
        if not used or set(cell["parameters"]["INITVAL"]) - set("0x"):
            continue
        for n in range(4):
            if isinstance(read[n], str) and read[n] == write[n]:
                read[n], write[n] = read[used[0]], write[used[0]]
                pins += 2
    return pins


def near_zeros(design: Json) -> int:
    """A LUT of its own for the constant zeros of each block of placed multipliers (attribute BEL), in place; how many.

    The up to four multipliers of a block share their resets, so those must have one net.
    """
    made = 0
    for module in own_modules(design).values():
        blocks: dict[tuple[int, int], list[list[Bit]]] = defaultdict(list)
        for cell in module["cells"].values():
            site = SITE.fullmatch(cell.get("attributes", {}).get("BEL", ""))
            if cell["type"] == "MULT18X18D" and site:
                x, y, place = map(int, site.groups())
                for pin, bits in cell["connections"].items():
                    if ZEROS.fullmatch(pin) and bits == ["0"]:
                        blocks[x - place, y].append(bits)
        taken = [*bit_uses(module), *(bit for net in module.get("netnames", {}).values() for bit in net["bits"])]
        numbers = count(1 + max((bit for bit in taken if isinstance(bit, int)), default=1))
        for ((x, y), pins), number in zip(sorted(blocks.items()), numbers, strict=False):
            module["cells"][f"$zero$X{x}Y{y}"] = _zero(number)
            for bits in pins:
                bits[0] = number
        made += len(blocks)
    return made


def _zero(number: int) -> Json:
    """A LUT whose output, bit ``number``, is 0."""
    return {
        "hide_name": 1,
        "type": "LUT4",
        "parameters": {"INIT": "0" * 16},
        "attributes": {},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {**{pin: ["0"] for pin in "ABCD"}, "Z": [number]},
    }
