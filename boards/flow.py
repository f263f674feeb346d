"""The whole way from an Amaranth design to a bitstream: emit, synthesise, plan, place and route, pack."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from amaranth.hdl import Elaboratable

from bnnhw.boards import tools
from bnnhw.boards.attempts import Note, attempt
from bnnhw.boards.board import Board
from bnnhw.boards.constants import near_zeros
from bnnhw.boards.emit import Sources, for_board
from bnnhw.boards.failures import TimingError
from bnnhw.boards.floorplan import floorplan
from bnnhw.boards.layout import DEFAULT_OPTIONS, PLANNED_OPTIONS, Layout, Options, check_fit
from bnnhw.boards.netlist import rewrite
from bnnhw.boards.sites import SITES
from bnnhw.boards.synthesis import Synthesis, synthesise

Progress = Callable[[str, float], None]
"""Called after each stage with its name and the seconds it took."""

FILES = ("top.bit", "top.config", "placed.json", "timing.json", "top.json", "top.v", "top.il", "top.lpf")


@dataclass(frozen=True)
class Bitstream:
    """All results of `build`. ``seconds`` by stage: emit, synthesise, plan, place_and_route, pack."""

    path: Path
    sources: Sources
    synthesis: Synthesis
    layout: Layout
    clock_hz: Fraction
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def fmax_mhz(self) -> float:
        """Fastest clock after routing."""
        return self.layout.design_clock.achieved_mhz


def build(
    top: Elaboratable,
    board: Board,
    directory: Path,
    clock_hz: Fraction | int,
    *,
    options: Options | None = None,
    keep: Sequence[str] = (),
    together: Sequence[str] = (),
    allow_slow: bool = False,
    ready: Callable[[], None] = lambda: None,
    progress: Progress = lambda stage, seconds: None,
    note: Note = lambda line: None,
) -> Bitstream:
    """Make ``directory/top.bit`` of ``top`` (ports ``rx``, ``tx``; see `BoardTop`); its clock is exact in the result.

    Leaves in ``directory``: ``top.il``, ``top.v``, ``top.lpf``, ``top.json``, ``top.config``, ``top.bit``,
    ``placed.json``, ``timing.json`` and the logs ``yosys.log``, ``nextpnr.log``, ``ecppack.log``.
    Those of an earlier run are removed first, so what is there belongs together. ``top.bit`` appears whole or
    not at all.

    Parameters
    ----------
    keep
        Instance paths (``top.engine.array``) whose LUTs are wanted by themselves in ``layout.modules``.
    options
        Of nextpnr; by default PLANNED_OPTIONS where the chip is crowded and gets a floorplan, else DEFAULT_OPTIONS.
    together
        Prefixes of instance paths (``top.engine.post.lane_``): a floorplan keeps each instance's multipliers together.
    allow_slow
        Make the bitstream even where timing is not met; only one seed is tried then.
    ready
        Called when the netlist fits the chip, before anything is placed: what it raises ends the build.
    note
        Is told why placement and routing begin again with another seed.

    Raises
    ------
    DesignDoesNotFitError, RoutingError, TimingError, ToolError
        The stage's own errors.
    BnnhwError
        When the PLL cannot make the clock.
    """
    seconds: dict[str, float] = {}

    def done(stage: str, since: float) -> None:
        seconds[stage] = time.monotonic() - since
        progress(stage, seconds[stage])

    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (directory / name).unlink(missing_ok=True)
    start = time.monotonic()
    sources = for_board(top, board, clock_hz)
    done("emit", start)
    start = time.monotonic()
    synthesis = synthesise(sources, directory, keep=keep, verilog=True)
    check_fit(synthesis.resources, board)
    done("synthesise", start)
    ready()
    start = time.monotonic()
    planned = plan_blocks(synthesis.netlist, board, together)
    done("plan", start)
    start = time.monotonic()
    options = options or (PLANNED_OPTIONS if planned else DEFAULT_OPTIONS)
    layout = attempt(synthesis.netlist, sources.lpf, board, options, keep=keep, once=allow_slow, note=note)
    done("place_and_route", start)
    for clock in layout.clocks.values():
        if not clock.met and not allow_slow:
            raise TimingError(board.name, clock.achieved_mhz, clock.constraint_mhz)
    start = time.monotonic()
    path = pack(layout.config, directory / "top.bit")
    done("pack", start)
    return Bitstream(path, sources, synthesis, layout, sources.clock_hz, seconds)


def plan_blocks(netlist: Path, board: Board, together: Sequence[str] = ()) -> int:
    """Sites for the multipliers and block RAMs of a crowded chip, and zeros beside those multipliers, written into
    ``netlist``; how many got a site."""
    if board.device not in SITES:
        return 0
    with rewrite(netlist) as design:
        placed = floorplan(design, SITES[board.device], together)
        near_zeros(design)
    return placed


def pack(config: Path, bitstream: Path) -> Path:
    """Turn nextpnr's text configuration into a compressed bitstream file; both in one directory."""
    partial = bitstream.with_name(bitstream.name + ".part")
    arguments = ["--compress", "--input", config.name, "--bit", partial.name]
    tools.run("ecppack", arguments, config.parent, "ecppack.log")
    os.replace(partial, bitstream)
    return bitstream
