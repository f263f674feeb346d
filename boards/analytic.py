"""Global placement by wire length: where clusters would like to be on the chip, before any is on a site.

Quadratic wire length with the bound-to-bound net model and spreading by bisection, in turns (P. Spindler et al.,
"Kraftwerk2", TCAD 2008; M.-C. Kim et al., "SimPL", TCAD 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from bnnhw.boards.clusters import Clusters, DoubleArray, IntArray

NEAR = 1.0
"""Tiles below which a distance no longer counts as shorter."""
SMALL = 6.0
"""Tiles of an area that is not divided further."""


@dataclass(frozen=True)
class Area:
    """A chip's tiles, from ``left`` and ``top``."""

    left: float
    top: float
    width: float
    height: float


@dataclass(eq=False)
class Placement:
    """Places of clusters: ``at`` (2, m), x and y in tiles."""

    clusters: Clusters
    area: Area
    at: DoubleArray

    def pins(self, axis: int, at: DoubleArray) -> DoubleArray:
        """Place of every pin on an axis."""
        return at[axis][self.clusters.members] + (self.clusters.offset if axis == 0 else 0)

    def length(self, at: DoubleArray | None = None) -> float:
        """Half the perimeter of all nets' bounding boxes, in tiles."""
        starts = self.clusters.starts[:-1]
        total = 0.0
        for axis in (0, 1):
            pins = self.pins(axis, self.at if at is None else at)
            total += float((np.maximum.reduceat(pins, starts) - np.minimum.reduceat(pins, starts)).sum())
        return total

    def relax(self, targets: DoubleArray | None = None, pull: DoubleArray | None = None) -> None:
        """Moves all clusters to where wires and the ``pull`` (2, m) towards ``targets`` (2, m) are in balance."""
        self.at = np.stack(
            [
                self._solve(axis, *((None, None) if targets is None or pull is None else (targets[axis], pull[axis])))
                for axis in (0, 1)
            ]
        )

    def _solve(self, axis: int, target: DoubleArray | None, pull: DoubleArray | None) -> DoubleArray:
        c, count = self.clusters, len(self.clusters.area)
        pins = self.pins(axis, self.at)
        size = np.diff(c.starts)
        net = np.repeat(np.arange(len(size)), size)
        order = np.lexsort((pins, net))
        low, high = order[c.starts[:-1]][net], order[c.starts[1:] - 1][net]
        pin = np.arange(len(pins))
        to_low, to_high = pin != low, (pin != low) & (pin != high)
        a, b = np.concatenate([pin[to_low], pin[to_high]]), np.concatenate([low[to_low], high[to_high]])
        weight = 1 / (size[net[a]] - 1) / np.maximum(np.abs(pins[a] - pins[b]), NEAR)
        shift = np.zeros(len(a)) if axis else weight * (c.offset[b] - c.offset[a])
        a, b = c.members[a], c.members[b]
        diagonal, right = np.zeros(count), np.zeros(count)
        for pins_of, sign in ((a, 1), (b, -1)):
            diagonal += np.bincount(pins_of, weight, count)
            right += sign * np.bincount(pins_of, shift, count)
        start, extent = (self.area.left, self.area.width) if axis == 0 else (self.area.top, self.area.height)
        if target is None or pull is None:
            target, pull = np.full(count, start + extent / 2), np.full(count, 1e-4)
        diagonal, right = diagonal + pull, right + pull * target
        edges = sparse.coo_matrix((-np.tile(weight, 2), (np.append(a, b), np.append(b, a))), (count, count))
        found, _ = cg(
            edges.tocsr() + sparse.diags(diagonal), right, x0=self.at[axis], rtol=1e-4, maxiter=150,
            M=sparse.diags(1 / diagonal),
        )  # fmt: skip
        return np.clip(found, start, start + extent)

    def spread(self, movable: IntArray, area: DoubleArray) -> DoubleArray:
        """Targets (2, m) at which ``movable`` clusters, of ``area`` (m,), cover the chip evenly in the same order."""
        targets = self.at.copy()
        chip = self.area
        todo = [(movable, chip.left, chip.left + chip.width, chip.top, chip.top + chip.height)]
        while todo:
            some, *box = todo.pop()
            left, right, top, bottom = box
            if len(some) <= 8 or (right - left) * (bottom - top) <= SMALL:
                targets[0, some] = np.clip(self.at[0, some], left, right)
                targets[1, some] = np.clip(self.at[1, some], top, bottom)
                continue
            axis = 0 if right - left >= bottom - top else 1
            some = some[np.argsort(self.at[axis, some], kind="stable")]
            covered = np.cumsum(area[some])
            cut = int(np.searchsorted(covered, covered[-1] / 2))
            if axis == 0:
                middle = (left + right) / 2
                todo += [(some[:cut], left, middle, top, bottom), (some[cut:], middle, right, top, bottom)]
            else:
                middle = (top + bottom) / 2
                todo += [(some[:cut], left, right, top, middle), (some[cut:], left, right, middle, bottom)]
        return targets
