"""A yosys JSON netlist as what a placer moves: clusters of cells that stay together, and the nets between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.boards.netlist import LUT_SITES, Bit, Json, own_modules

IntArray = NDArray[np.int64]
DoubleArray = NDArray[np.float64]

BLOCKS = {"MULT18X18D": 1, "DP16KD": 2}
"""Cells with sites of their own, and the `Clusters.kind` that they have."""
OUTSIDE = ("TRELLIS_IO", "EHXPLLL", "DCCA")
"""Cells at the edge of the chip, which nothing is drawn to."""
SHARED = 64
"""Nets with more clusters than this say nothing about where they belong."""
UNRELATED = 0.65
"""Sites that a LUT or a flip-flop alone takes: two unrelated ones share a site."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of the flattened netlist. ``pins``: net numbers by pin, -1 for constants. ``source``: its JSON."""

    kind: str
    name: str
    pins: dict[str, list[int]]
    directions: dict[str, str]
    source: Json


@dataclass(frozen=True, eq=False)
class Clusters:
    """m clusters. ``area`` (m,): LUT sites. ``kind`` (m,): 0 or one of BLOCKS. ``cell`` (m,): the first cell's number.

    Nets follow each other in ``members``: net n joins the clusters members[starts[n] : starts[n + 1]], at ``offset``
    tiles to the right of each cluster's own place.
    """

    cells: list[Cell]
    cell: IntArray
    area: DoubleArray
    kind: IntArray
    starts: IntArray
    members: IntArray
    offset: DoubleArray


def flatten(design: Json) -> list[Cell]:
    """All cells of the design below its top module, without the hierarchy that was kept."""
    modules = own_modules(design)
    tops = [name for name, module in modules.items() if int(str(module.get("attributes", {}).get("top", "0")), 2)]
    aliases: dict[int, int] = {}
    numbers = iter(range(1 << 62))
    found: list[Cell] = []

    def visit(module: str, prefix: str, nets: dict[Bit, int]) -> None:
        def net(bit: Bit) -> int:
            if isinstance(bit, str):
                return -1
            if bit not in nets:
                nets[bit] = next(numbers)
            return nets[bit]

        for name, cell in modules[module]["cells"].items():
            pins = {pin: [net(bit) for bit in bits] for pin, bits in cell["connections"].items()}
            inner = modules.get(cell["type"])
            if inner is not None:
                ports = {
                    bit: outside
                    for port, description in inner["ports"].items()
                    for bit, outside in zip(description["bits"], pins.get(port, []), strict=False)
                    if not isinstance(bit, str)
                }
                visit(cell["type"], f"{prefix}{name}.", ports)
            elif cell["type"] == "$buf":
                aliases.update(zip(pins["Y"], pins["A"], strict=True))
            elif cell["type"] != "$scopeinfo":
                found.append(Cell(cell["type"], prefix + name, pins, cell["port_directions"], cell))

    visit(tops[0], "", {})
    for cell in found:
        for bits in cell.pins.values():
            bits[:] = [_resolve(aliases, bit) for bit in bits]
    return found


def _resolve(aliases: dict[int, int], net: int) -> int:
    while net in aliases:
        net = aliases[net]
    return net


def clusters(cells: list[Cell]) -> Clusters:
    """Carry chains, multiplexer trees, and flip-flops with the LUT that feeds them alone, each as one."""
    driver: dict[int, tuple[int, str]] = {}
    readers: dict[int, list[int]] = {}
    for i, cell in enumerate(cells):
        for pin, nets in cell.pins.items():
            for net in nets:
                if net >= 0 and cell.directions.get(pin) == "output":
                    driver[net] = i, pin
                elif net >= 0:
                    readers.setdefault(net, []).append(i)
    parent, shift = list(range(len(cells))), np.zeros(len(cells))
    for head, chain in _chains(cells, driver):
        for position, i in enumerate(chain):
            parent[i], shift[i] = head, position // 4  # four CCU2C a tile, from left to right

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, other: int) -> None:
        if root(i) != root(other):
            parent[root(i)], shift[i] = root(other), shift[other]

    logic = ("LUT4", "PFUMX", "L6MUX21")
    for i, cell in enumerate(cells):
        for pin, nets in cell.pins.items():
            made = driver.get(nets[0]) if nets and nets[0] >= 0 else None
            if made is None or cell.directions.get(pin) == "output":
                continue
            kind = cells[made[0]].kind
            if cell.kind in ("PFUMX", "L6MUX21") and kind in logic:
                join(made[0], i)
            elif cell.kind == "TRELLIS_FF" and pin == "DI" and len(readers[nets[0]]) == 1 and kind in (*logic, "CCU2C"):
                join(i, made[0])
    first, member = np.unique([root(i) for i in range(len(cells))], return_inverse=True)
    return _collect(cells, first, member, shift, driver, readers)


def _chains(cells: list[Cell], driver: dict[int, tuple[int, str]]) -> Iterator[tuple[int, list[int]]]:
    """Carry chains: their first cell, and all of them in order."""
    after = {}
    for i, cell in enumerate(cells):
        carry = cell.pins.get("CIN", [-1])[0] if cell.kind == "CCU2C" else -1
        made = driver.get(carry)
        if made is not None and made[1] == "COUT":
            after[made[0]] = i
    for head in sorted({i for i, cell in enumerate(cells) if cell.kind == "CCU2C"} - set(after.values())):
        chain = [head]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        yield head, chain


def _collect(
    cells: list[Cell],
    first: IntArray,
    member: IntArray,
    shift: DoubleArray,
    driver: dict[int, tuple[int, str]],
    readers: dict[int, list[int]],
) -> Clusters:
    count = len(first)
    kinds = [cell.kind for cell in cells]
    luts = np.bincount(member, [LUT_SITES.get(kind, 0) for kind in kinds], count)
    registers = np.bincount(member, [kind == "TRELLIS_FF" for kind in kinds], count)
    area = np.where((luts > 0) & (registers > 0), np.maximum(luts, registers), UNRELATED * (luts + registers))
    kind = np.array([BLOCKS.get(kinds[i], 0) for i in first])
    edge = {int(member[i]) for i, kind in enumerate(kinds) if kind in OUTSIDE}
    starts, members = [0], list[int]()
    offsets: list[float] = []
    for net, (source, _) in driver.items():
        ends: dict[int, float] = {}
        for i in (source, *readers.get(net, ())):
            if int(member[i]) not in edge:
                ends.setdefault(int(member[i]), float(shift[i]))
        if 2 <= len(ends) <= SHARED:
            members += ends.keys()
            offsets += ends.values()
            starts.append(len(members))
    return Clusters(cells, first, area, kind, np.array(starts), np.array(members, np.int64), np.array(offsets))
