"""Floorplan: every block gets a site of its own, those that work together side by side; clusters of a netlist."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bnnhw import boards
from bnnhw.boards.clusters import clusters, flatten
from bnnhw.boards.floorplan import floorplan
from bnnhw.boards.sites import SITES

CHIP = SITES["85k"]


class Netlist:
    """A yosys netlist under construction."""

    def __init__(self):
        self.cells, self.nets = {}, iter(range(2, 1 << 30))

    def cell(self, kind, name, outputs=(), **inputs):
        """Adds a cell; the nets of its outputs."""
        made = [next(self.nets) for _ in outputs]
        pins = dict(zip(outputs, made, strict=True)) | inputs
        self.cells[name] = {
            "type": kind,
            "port_directions": {pin: "output" if pin in outputs else "input" for pin in pins},
            "connections": {pin: [net] for pin, net in pins.items()},
        }
        return made

    def design(self):
        return {"modules": {"top": {"attributes": {"top": "1"}, "cells": self.cells}}}


def lanes(count, blocks):
    """Lanes of ``blocks`` multipliers in a ring of flip-flops each, and a chain of flip-flops through all lanes."""
    netlist = Netlist()
    (link,) = netlist.cell("TRELLIS_FF", "first", ["Q"], DI="0")
    for lane in range(count):
        for n in range(blocks):
            (product,) = netlist.cell("MULT18X18D", f"top.lane_{lane}.part_{n}.block", ["P0"], A0=link)
            (link,) = netlist.cell("TRELLIS_FF", f"top.lane_{lane}.part_{n}.register", ["Q"], DI=product)
    return netlist.design()


@pytest.mark.parametrize("name", boards.names())
def test_all_blocks_of_a_chip_have_sites(name):
    board = boards.get(name)
    chip = SITES[board.device]
    found = {kind: len({site.bel for site in sites}) for kind, sites in chip.blocks.items()}
    if board.device == "12k":  # the die of a 25k
        assert found == {"MULT18X18D": 28, "DP16KD": 56}
    else:
        assert found == {"MULT18X18D": board.resources.dsp, "DP16KD": board.resources.bram}


def sites_of(design):
    found = {}
    for name, cell in design["modules"]["top"]["cells"].items():
        if "BEL" in cell.get("attributes", {}):
            found[name] = cell["attributes"]["BEL"]
    return found


def test_lanes_are_kept_together():
    design = lanes(16, 7)
    assert floorplan(design, CHIP, ("top.lane_",)) == 112
    sites = sites_of(design)
    assert len(set(sites.values())) == 112
    assert set(sites.values()) <= {site.bel for site in CHIP.blocks["MULT18X18D"]}
    for lane in range(16):
        places = [re.match(r"X(\d+)/Y(\d+)/", sites[f"top.lane_{lane}.part_{n}.block"]) for n in range(7)]
        columns, rows = ([int(place[axis]) for place in places] for axis in (1, 2))
        assert len(set(rows)) == 1
        assert max(columns) - min(columns) <= 17


def test_neighbours_in_a_chain_stay_near():
    """Blocks without a group: a chain through all of them takes far fewer tiles than a random order would."""
    design = lanes(100, 1)
    assert floorplan(design, CHIP) == 100
    sites = sites_of(design)
    places = np.array(
        [[int(v) for v in re.findall(r"\d+", sites[f"top.lane_{n}.part_0.block"])[:2]] for n in range(100)]
    )
    steps = np.abs(np.diff(places, axis=0)).sum(axis=1)
    shuffled = np.random.default_rng(1).permutation(places)
    assert steps.sum() < np.abs(np.diff(shuffled, axis=0)).sum() / 2


def test_groups_larger_than_a_row():
    design = lanes(2, 60)
    assert floorplan(design, CHIP, ("top.lane_",)) == 120
    assert len(set(sites_of(design).values())) == 120


def test_groups_too_different_for_runs():
    """Runs as long as the largest group would need 4 x 50 sites: multipliers are placed one by one."""
    design = lanes(3, 20)
    for n in range(20, 50):
        cells = design["modules"]["top"]["cells"]
        cells[f"top.lane_0.part_{n}.block"] = cells["top.lane_0.part_0.block"] | {"connections": {"A0": ["0"]}}
    cells["top.lane_3.block"] = dict(cells["top.lane_0.part_20.block"])
    assert floorplan(design, CHIP, ("top.lane_",)) == 91
    assert len(set(sites_of(design).values())) == 91


@pytest.mark.parametrize("blocks", [20, 160])
def test_left_to_the_placer(blocks):
    """Few blocks find sites by themselves; too many are an error of the placer."""
    design = lanes(1, blocks)
    assert floorplan(design, CHIP) == 0
    assert not sites_of(design)


def test_same_every_time():
    first, second = lanes(16, 7), lanes(16, 7)
    floorplan(first, CHIP, ("top.lane_",))
    floorplan(second, CHIP, ("top.lane_",))
    assert sites_of(first) == sites_of(second)


def test_clusters():
    netlist = Netlist()
    (value,) = netlist.cell("LUT4", "lut", ["Z"])
    netlist.cell("TRELLIS_FF", "fed alone", ["Q"], DI=value)
    (shared,) = netlist.cell("LUT4", "shared", ["Z"])
    (q,) = netlist.cell("TRELLIS_FF", "register", ["Q"], DI=shared)
    carry = "0"
    for n in range(6):
        carry, _sum = netlist.cell("CCU2C", f"carry_{n}", ["COUT", "S0"], CIN=carry, A0=q if n == 5 else shared)
    found = clusters(flatten(netlist.design()))
    names = {found.cells[first].name: area for first, area in zip(found.cell, found.area, strict=True)}
    assert names["lut"] == 1  # with its flip-flop
    assert {"shared", "register"} <= names.keys()  # apart, since others read the LUT too
    assert [name for name in names if name.startswith("carry")] == ["carry_0"]
    assert names["carry_0"] == 0.65 * 12
    # the sixth carry cell lies in the chain's second tile
    chain = next(i for i, first in enumerate(found.cell) if found.cells[first].name == "carry_0")
    assert set(found.offset[found.members == chain]) == {0.0, 1.0}


def test_hierarchy_is_flattened():
    inner = Netlist()
    (value,) = inner.cell("TRELLIS_FF", "register", ["Q"], DI=900)
    outer = Netlist()
    (q,) = outer.cell("TRELLIS_FF", "source", ["Q"], DI="0")
    outer.cells["u"] = {"type": "part", "port_directions": {"i": "input"}, "connections": {"i": [q]}}
    design = outer.design()
    design["modules"]["part"] = {"cells": inner.cells, "ports": {"i": {"bits": [900]}}}
    cells = {cell.name: cell for cell in flatten(design)}
    assert cells["u.register"].pins["DI"] == cells["source"].pins["Q"]
    assert cells["u.register"].pins["Q"] != cells["source"].pins["Q"]
    assert value
