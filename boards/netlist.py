"""Passes over yosys/nextpnr JSON netlists: slimmer carry chains, LUT counts by module."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Bit = int | str

LUT_SITES = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
"""LUT4 sites per cell: a carry cell is two; a 16x4 RAM is four that store and two that hold its write port."""
FEED_PREFIX = "$nextpnr_CCU2C_"
"""nextpnr's name for the cells that bring a constant or a net into a carry chain or out of it."""


@contextmanager
def rewrite(path: Path) -> Iterator[Json]:
    """The netlist in file ``path``, to be changed in place; written back at the end, unless an error came before."""
    design: Json = json.loads(path.read_text())
    yield design
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(design))
    os.replace(partial, path)


def own_modules(design: Json) -> dict[str, Json]:
    """The modules that are parts of the design: yosys writes those that describe the chip's cells beside them."""
    described = {"blackbox", "whitebox"}
    return {name: m for name, m in design["modules"].items() if not described & set(m.get("attributes", {}))}


@dataclass(frozen=True)
class CarryRelaxed:
    """How many carry pins `relax_carry` freed; each saves the two LUT sites of a feed-in or feed-out cell."""

    outputs: int
    inputs: int


def relax_carry(design: Json) -> CarryRelaxed:
    """Set unused COUT and unneeded constant CIN pins of CCU2C cells to "x", in place.

    nextpnr spends a cell of two LUT sites to lead every connected last COUT out of its chain, used or not, and another
    to lead every constant first CIN in. A constant CIN is unneeded when neither half's sum nor the carry out of the
    first half depends on it, which is so for a first half that only injects a product (its LUT4 is constantly 0).
    Pins are set, never deleted: nextpnr crashes on a CCU2C without COUT or CIN.
    """
    outputs = inputs = 0
    for module in design["modules"].values():
        uses = bit_uses(module)
        for cell in module.get("cells", {}).values():
            if cell["type"] != "CCU2C":
                continue
            pins = cell["connections"]
            out = pins.get("COUT", [])
            if out and isinstance(out[0], int) and uses[out[0]] == 1:
                pins["COUT"] = ["x"]
                outputs += 1
            into = pins.get("CIN", [])
            if into and into[0] in ("0", "1") and not _needs_carry_in(cell, uses):
                pins["CIN"] = ["x"]
                inputs += 1
    return CarryRelaxed(outputs, inputs)


def bit_uses(module: Json) -> Counter[Bit]:
    """How many pins and ports each bit of a module is at, constants too."""
    uses: Counter[Bit] = Counter()
    for port in module.get("ports", {}).values():
        uses.update(port["bits"])
    for cell in module.get("cells", {}).values():
        for bits in cell["connections"].values():
            uses.update(bits)
    return uses


def _needs_carry_in(cell: Json, uses: Counter[Bit]) -> bool:
    pins = cell["connections"]
    # Carry out of a half: the LUT4 chooses between the carry in (1) and the LUT2 or a constant 0 (0).
    if any(_lut4_values(cell, half=0)):
        return True
    # Sum of a half: LUT4 xor carry in, unless the half is told not to inject it.
    sum_used = any(isinstance(bit, int) and uses[bit] > 1 for bit in pins.get("S0", []))
    return sum_used and cell["parameters"].get("INJECT1_0", "YES") != "YES"


def _lut4_values(cell: Json, half: int) -> Iterator[int]:
    """Values of a half's LUT4 over all input combinations that its constant pins allow ("x" counts as free)."""
    init = int(cell["parameters"][f"INIT{half}"], 2)
    fixed = []
    for name in "ABCD":
        bits = cell["connections"].get(f"{name}{half}", [])
        fixed.append(int(bits[0]) if bits and bits[0] in ("0", "1") else None)
    for index in range(16):
        if all(value is None or value == index >> pin & 1 for pin, value in enumerate(fixed)):
            yield init >> index & 1


def lut_sites(design: Json, top: str, paths: Iterable[str]) -> dict[str, int]:
    """LUT4 sites that each hierarchical path of ``paths`` takes, from the JSON nextpnr writes after placement.

    A cell belongs to the path that its name starts with; a feed cell of a carry chain to the chain it serves. The LUT
    sites that hold a distributed RAM's write ports (TRELLIS_RAMW takes two) count too. For exact counts the module must
    have kept its hierarchy through synthesis (``keep`` of the flow).
    """
    cells: Json = design["modules"][top]["cells"]
    owner = _feed_owners(cells)
    counts = dict.fromkeys(paths, 0)
    prefixes = {path: path + "." for path in counts}
    for name, cell in cells.items():
        sites = {"TRELLIS_COMB": 1, "TRELLIS_RAMW": 2}.get(cell["type"], 0)
        if not sites:
            continue
        full = owner.get(name, name)
        for path, prefix in prefixes.items():
            if full.startswith(prefix):
                counts[path] += sites
    return counts


def _feed_owners(cells: Json) -> dict[str, str]:
    """For every feed cell, a cell of the carry chain that it serves."""
    drivers: dict[Bit, str] = {}
    readers: dict[Bit, str] = {}
    for name, cell in cells.items():
        if cell["type"] == "TRELLIS_COMB":
            for bit in cell["connections"].get("FCO", []):
                drivers[bit] = name
            for bit in cell["connections"].get("FCI", []):
                readers[bit] = name
    owner: dict[str, str] = {}
    for name, cell in cells.items():
        if not name.startswith(FEED_PREFIX) or cell["type"] != "TRELLIS_COMB":
            continue
        owner[name] = _walk(name, "FCO", cells, readers) or _walk(name, "FCI", cells, drivers) or name
    return owner


def _walk(name: str, pin: str, cells: Json, other: dict[Bit, str]) -> str | None:
    """Follow the carry from feed cell ``name`` over ``pin`` to the first cell that is no feed cell."""
    seen = {name}
    while True:
        bits = cells[name]["connections"].get(pin, [])
        following = other.get(bits[0]) if bits else None
        if following is None or following in seen:
            return None
        if not following.startswith(FEED_PREFIX):
            return following
        seen.add(following)
        name = following
