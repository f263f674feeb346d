"""Floorplan: sites for the multipliers and block RAMs of a crowded chip, chosen before placement.

nextpnr places blocks one by one when all else is spread, wherever a site is left: on a chip with most of its
multipliers in use that doubles the wire length. Here blocks that work together get neighbouring sites, at the place in
the chip that keeps the wires of the whole design short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from bnnhw.boards.analytic import Placement
from bnnhw.boards.clusters import BLOCKS, Clusters, DoubleArray, IntArray, clusters, flatten
from bnnhw.boards.netlist import Json
from bnnhw.boards.sites import Site, Sites

CROWDED = 0.5
"""Share of the multipliers or block RAMs in use from which a plan is made."""
FREE, TOGETHER, SINGLE = 28, 22, 60
"""Rounds with all blocks free, with multipliers on their sites, and with block RAMs on theirs too."""
RAMP = 0.04
"""How much stronger clusters are pulled to their targets with every round."""
ROOM = {"MULT18X18D": 120.0, "DP16KD": 30.0}
"""LUT sites of room for a block while it is free: what else belongs to it lies around it."""


def floorplan(design: Json, sites: Sites, together: Sequence[str] = ()) -> int:
    """Give multipliers and block RAMs of a yosys netlist a site each, in place; how many got one.

    None get one where less than CROWDED of either kind is in use. ``together``: prefixes of instance paths; the
    multipliers of one instance with such a path are kept side by side.
    """
    cells = flatten(design)
    found = clusters(cells)
    counts = {kind: int((found.kind == number).sum()) for kind, number in BLOCKS.items()}
    shares = [counts[kind] / len(sites.blocks[kind]) for kind in BLOCKS]
    if max(shares) <= CROWDED or max(shares) > 1:  # what does not fit is nextpnr's to say
        return 0
    chosen = _Planner(found, sites, together).run()
    for cluster, site in chosen.items():
        cells[found.cell[cluster]].source.setdefault("attributes", {})["BEL"] = site.bel
    return len(chosen)


class _Planner:
    def __init__(self, found: Clusters, sites: Sites, together: Sequence[str]) -> None:
        self.found, self.sites, self.together = found, sites, together
        area = sites.area
        rng = np.random.default_rng(1)
        middle = np.array([[area.left + area.width / 2], [area.top + area.height / 2]])
        self.placement = Placement(found, area, middle + rng.normal(0, 1, (2, len(found.area))))
        self.room = found.area.copy()
        for kind, number in BLOCKS.items():
            self.room[found.kind == number] = ROOM[kind]
        self.chosen: dict[int, Site] = {}

    def run(self) -> dict[int, Site]:
        """Site by cluster."""
        for _ in range(4):
            self.placement.relax()
        logic = np.flatnonzero(self.found.kind == 0)
        multiplier, ram = (np.flatnonzero(self.found.kind == BLOCKS[kind]) for kind in ("MULT18X18D", "DP16KD"))
        self._rounds(FREE, np.arange(len(self.room)), ())
        self._place_groups(multiplier)
        self._rounds(TOGETHER, np.append(logic, ram), ())
        self._rounds(SINGLE, logic, ram)
        return self.chosen

    def _rounds(self, count: int, movable: IntArray, assigned: Sequence[int] | IntArray) -> None:
        """Relaxes and spreads in turns; what has a site stays there, ``assigned`` RAMs are drawn to the nearest."""
        fixed = np.zeros(len(self.room), bool)
        drawn = np.zeros(len(self.room), bool)
        drawn[list(assigned)] = True
        fixed[[c for c in self.chosen if not drawn[c]]] = True
        for n in range(count):
            targets = self.placement.spread(movable, self.room)
            if len(assigned):
                self._assign(np.asarray(assigned), self.sites.blocks["DP16KD"])
            for cluster, site in self.chosen.items():
                targets[:, cluster] = site.x, site.y
            pull = RAMP * (n + 0.5) / np.maximum(np.abs(self.placement.at - targets), 1.0)
            pull *= np.where(drawn, 6 * (1 + n / 4), np.sqrt(np.maximum(self.found.area, 1)))
            self.placement.relax(targets, np.where(fixed, 1e3, pull))

    def _assign(self, blocks: IntArray, sites: Sequence[Site]) -> None:
        """The sites with the least sum of squared distances, which keeps blocks in order."""
        places = _places(sites)
        rows, columns = linear_sum_assignment(_squares(self.placement.at[:, blocks], places))
        self.chosen |= {int(blocks[r]): sites[c] for r, c in zip(rows, columns, strict=True)}

    def _place_groups(self, multipliers: IntArray) -> None:
        """Runs of neighbouring sites for groups of multipliers, each as near as possible to its group."""
        groups: dict[str, list[int]] = defaultdict(list)
        for cluster in multipliers:
            groups[self._group(int(cluster))].append(int(cluster))
        sites, size = self.sites.blocks["MULT18X18D"], max(map(len, groups.values()), default=0)
        if size * len(groups) > len(sites):
            groups = {str(cluster): [cluster] for cluster in multipliers}
            size = 1
        if not groups:
            return
        runs = _runs(sites, size, len(groups))
        middles = np.stack([_places(run).mean(axis=1) for run in runs], axis=1)
        members = [np.array(group) for group in groups.values()]
        centres = np.stack([self.placement.at[:, group].mean(axis=1) for group in members], axis=1)
        for group, run in zip(*linear_sum_assignment(_squares(centres, middles)), strict=True):
            self._assign(members[group], runs[run])

    def _group(self, cluster: int) -> str:
        """The instance below one of the prefixes, or the multiplier itself."""
        name = self.found.cells[self.found.cell[cluster]].name
        for prefix in self.together:
            if name.startswith(prefix):
                return name[: name.index(".", len(prefix))]
        return name


def _runs(sites: Sequence[Site], size: int, count: int) -> list[list[Site]]:
    """``count`` or more runs of ``size`` sites, spread evenly over the rows; what rows have left makes the last."""
    rows = defaultdict(list)
    for site in sites:
        rows[site.y].append(site)
    runs: list[list[Site]] = []
    rest: list[Site] = []
    for row in rows.values():
        fit = len(row) // size
        used = [row[start : start + size] for start in (round(k * len(row) / fit) for k in range(fit))]
        runs += used
        rest += [site for site in row if not any(site in run for run in used)]
    while len(runs) < count:
        runs.append(rest[:size])
        rest = rest[size:]
    return runs


def _places(sites: Sequence[Site]) -> DoubleArray:
    return np.array([[site.x for site in sites], [site.y for site in sites]], float)


def _squares(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Squared distances (n, k) of points (2, n) and (2, k)."""
    return np.asarray(((a[:, :, None] - b[:, None, :]) ** 2).sum(axis=0))
