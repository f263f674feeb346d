"""Places and routes a design from several seeds: the first result that holds its clock, else the fastest.

How long the router takes depends on how much wire a placement leaves it; so it may choose from placements.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from bnnhw.boards.board import Board
from bnnhw.boards.failures import RoutingError
from bnnhw.boards.layout import Layout, Options, place_and_route
from bnnhw.errors import BnnhwError

TRIES = 3
"""How often it is tried, each time from other seeds."""
NEAR_END = 0.05
"""Share of the arcs that are left when a router may be stuck; before that ups and downs are usual."""
NO_PROGRESS = 6000
"""Iterations without fewer arcs left than ever before that mean it is."""
WIRES = re.compile(r"wirelen = (\d+)")
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


def wires(log: str) -> float:
    """Length of all wires, in tiles, of the placement that the log says is going to be routed; infinite before that."""
    routing = ROUTING.search(log)
    found = WIRES.findall(log, 0, routing.start()) if routing else []
    return int(found[-1]) if found else math.inf


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
    is stuck; ``once``: from the first only. What is decided does not depend on the machine's speed.

    Errors as `layout.place_and_route`; a RoutingError only where no seed gave a result.
    """
    best: Layout | None = None
    failure: RoutingError | None = None
    for number in range(1 if once else TRIES):
        chosen = replace(options, seed=options.seed + number * options.placements)
        if best is not None or failure is not None:
            note(f"place and route again with seed {chosen.seed}: {failure or _slow(best)}")
        try:
            layout = _shortest(netlist, lpf, board, chosen, keep=keep, give_up=_never if once else stuck)
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


def _shortest(
    netlist: Path, lpf: str, board: Board, options: Options, *, keep: Sequence[str], give_up: Callable[[str], bool]
) -> Layout:
    """Places from ``options.placements`` seeds side by side, each in a folder of its own, and routes the placement with
    the shortest wires."""
    if options.placements == 1:
        return place_and_route(netlist, lpf, board, options, keep=keep, give_up=give_up)
    folders = {
        seed: netlist.with_name(f"seed-{seed}") for seed in range(options.seed, options.seed + options.placements)
    }
    heat = _Heat(folders, give_up)

    def one(seed: int) -> Layout:
        folders[seed].mkdir(exist_ok=True)
        own = Path(shutil.copy(netlist, folders[seed]))
        chosen = replace(options, seed=seed)
        try:
            return place_and_route(own, lpf, board, chosen, keep=keep, give_up=lambda log: heat.lost(seed, log))
        finally:
            heat.placed(seed)

    try:
        with ThreadPoolExecutor(len(folders)) as pool:
            runs = {seed: pool.submit(one, seed) for seed in folders}
            try:
                wait(runs.values())
            except BaseException:
                heat.over.set()
                raise
        return _moved(runs[heat.winner].result, folders[heat.winner], netlist)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


class _Heat:
    """Whose wires are the shortest, of runs of nextpnr in ``folders`` by seed."""

    def __init__(self, folders: Mapping[int, Path], give_up: Callable[[str], bool]) -> None:
        self.folders, self.give_up = folders, give_up
        self.over = threading.Event()
        self._wires: dict[int, float] = {}

    def lost(self, seed: int, log: str) -> bool:
        """Whether a run with this log need not go on."""
        length = wires(log)
        if length < math.inf:
            self._wires[seed] = length
        decided = len(self._wires) == len(self.folders)
        return self.over.is_set() or (decided and self.winner != seed) or self.give_up(log)

    def placed(self, seed: int) -> None:
        """A run is at its end, be it good or bad."""
        log = self.folders[seed] / "nextpnr.log"
        self._wires[seed] = wires(log.read_text(errors="replace")) if log.exists() else math.inf

    @property
    def winner(self) -> int:
        """Seed of the shortest wires, once all are known."""
        return min(self._wires, key=lambda seed: (self._wires[seed], seed))


def _moved(result: Callable[[], Layout], folder: Path, netlist: Path) -> Layout:
    """The result of a run in ``folder``, or its error, when its files lie beside ``netlist``."""
    for path in folder.iterdir():
        if path.name != netlist.name:
            os.replace(path, netlist.with_name(path.name))
    try:
        layout = result()
    except BnnhwError as error:
        error.args = tuple(str(arg).replace(str(folder), str(netlist.parent)) for arg in error.args)
        raise
    return replace(layout, config=netlist.with_name(layout.config.name), placed=netlist.with_name(layout.placed.name))


def _never(_: str) -> bool:
    return False


def _slow(layout: Layout | None) -> str:
    assert layout is not None
    clock = layout.design_clock
    return f"{clock.achieved_mhz:.2f} MHz of {clock.constraint_mhz:.2f} MHz reached"


__all__ = ["attempt", "stuck", "wires"]
