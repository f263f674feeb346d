"""Places and routes a design from several seeds: the first result that holds its clock, else the fastest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bnnhw.boards.board import Board
from bnnhw.boards.failures import RoutingError
from bnnhw.boards.layout import Layout, Options, place_and_route

SEEDS = 3
"""Seeds that are tried."""
NEAR_END = 0.05
"""Share of the arcs that are left when a router may be stuck; before that ups and downs are usual."""
NO_PROGRESS = 6000
"""Iterations without fewer arcs left than ever before that mean it is."""
ROUTING = re.compile(r"^Info: Routing (\d+) arcs", re.M)
ITERATION = re.compile(r"^Info:\s+(\d+) \|[^|]*\|[^|]*\|\s+(\d+)\|", re.M)

Note = Callable[[str], None]


def stuck(log: str) -> bool:
    """Whether the router's log, as far as it goes, shows that it moves the same last arcs to and fro."""
    total = ROUTING.search(log)
    if total is None:
        return False
    best, since, now = int(total[1]), 0, 0
    for line in ITERATION.finditer(log):
        now, left = int(line[1]), int(line[2])
        if left < best:
            best, since = left, now
    return best < NEAR_END * int(total[1]) and now - since >= NO_PROGRESS


def attempt(
    netlist: Path,
    lpf: str,
    board: Board,
    options: Options,
    *,
    keep: Sequence[str] = (),
    once: bool = False,
    note: Note = lambda line: None,
) -> Layout:
    """Place and route from ``options.seed`` on, and from the seeds after it while the clock is not held or the router
    is stuck; ``once``: from that seed only. What is decided does not depend on the machine's speed.

    Errors as `layout.place_and_route`; a RoutingError only where no seed gave a result.
    """
    best: Layout | None = None
    failure: RoutingError | None = None
    for seed in range(options.seed, options.seed + (1 if once else SEEDS)):
        if best is not None or failure is not None:
            note(f"place and route again with seed {seed}: {failure or _slow(best)}")
        chosen = replace(options, seed=seed)
        try:
            layout = place_and_route(netlist, lpf, board, chosen, keep=keep, give_up=None if once else stuck)
        except RoutingError as error:
            failure = error
            continue
        failure = None
        if best is None or layout.design_clock.achieved_mhz > best.design_clock.achieved_mhz:
            best = layout
        if all(clock.met for clock in layout.clocks.values()):
            return layout
    if best is None:
        assert failure is not None
        raise failure
    return best


def _slow(layout: Layout | None) -> str:
    assert layout is not None
    clock = layout.design_clock
    return f"{clock.achieved_mhz:.2f} MHz of {clock.constraint_mhz:.2f} MHz reached"


__all__ = ["attempt", "stuck"]
