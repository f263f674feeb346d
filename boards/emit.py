"""From an Amaranth design to what the tools read: RTLIL and pin constraints, the same bytes every time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from amaranth.lib import wiring

from bnnhw.boards.board import Board
from bnnhw.boards.pll import solve
from bnnhw.boards.wrapper import BoardTop, has_sdram

TOP = "top"


@dataclass(frozen=True)
class Sources:
    """Text of ``top.il`` and ``top.lpf`` and the exact design clock in Hz (0 where there is no board)."""

    rtlil: str
    lpf: str
    clock_hz: Fraction


def for_board(top: Elaboratable, board: Board, clock_hz: Fraction | int) -> Sources:
    """``top`` (see `BoardTop`) on ``board`` with PLL, reset and pins, at the nearest clock that the PLL makes.

    An instance ``x`` inside ``top`` is called ``top.x`` in everything that comes out. Raises BnnhwError when the PLL
    cannot make the clock.
    """
    settings = solve(board.clock_hz, Fraction(clock_hz))
    if has_sdram(top):
        settings = replace(settings, lead_ns=board.sdram_lead_ns)
    with no_collection():
        plan = board.platform().prepare(BoardTop(top, board, settings), TOP, emit_src=False)
    return Sources(_text(plan.files[f"{TOP}.il"]), _text(plan.files[f"{TOP}.lpf"]), settings.output_hz)


def alone(component: wiring.Component) -> Sources:
    """A component by itself, its signature as ports: for synthesis statistics only."""
    with no_collection():
        return Sources(rtlil.convert(component, name=TOP, emit_src=False), "", Fraction(0))


@contextmanager
def no_collection() -> Iterator[None]:
    """Elaboration makes millions of objects and no garbage: looking for it takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
