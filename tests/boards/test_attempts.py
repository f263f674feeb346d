"""Seeds that are tried one after the other: when a router counts as stuck, and which result is taken."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bnnhw import boards
from bnnhw.boards import attempts, layout, tools
from bnnhw.boards.attempts import attempt, stuck
from bnnhw.boards.failures import RoutingError
from bnnhw.boards.layout import ClockTiming, Options

BOARD = boards.get("ulx3s")


def log(left: list[int], total: int = 100_000) -> str:
    """A router's log with so many arcs left after each 1000 iterations."""
    lines = ["Info: Routing..", f"Info: Routing {total} arcs."]
    lines += [
        f"Info: {1000 * n:10} | {77 * n:8} {930 * n:10} | {77:4} {923:5} |{arcs:10}|{1.16:11.2f} {28.28:10.2f}|"
        for n, arcs in enumerate(left, 1)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ([60_000, 30_000, 4_000, 900, 950, 930, 990, 940, 910], False),
        ([60_000, 30_000, 4_000, 900, 950, 930, 990, 940, 910, 905], True),
        ([60_000, 30_000, 4_000, 900, 950, 930, 990, 940, 910, 899], False),
        ([60_000, 30_000, *[31_000] * 20], False),
        ([], False),
    ],
)
def test_stuck(left: list[int], found: bool) -> None:
    assert stuck(log(left)) is found
    assert not stuck("Info: Packing..")


def results(monkeypatch: pytest.MonkeyPatch, outcomes: list[float | str]) -> list[int]:
    """Makes each try end with a clock in MHz or a reason; the seeds that were tried."""
    seeds: list[int] = []

    def place_and_route(netlist: Path, lpf: str, board: Any, options: Options, **_: Any) -> Any:
        seeds.append(options.seed)
        outcome = outcomes[len(seeds) - 1]
        if isinstance(outcome, str):
            raise RoutingError(board.name, outcome)
        clock = ClockTiming("clk", outcome, 100.0, "")
        return SimpleNamespace(clocks={"clk": clock}, design_clock=clock)

    monkeypatch.setattr(attempts, "place_and_route", place_and_route)
    return seeds


@pytest.mark.parametrize(
    ("outcomes", "seeds", "clock", "notes"),
    [
        ([101.0], [4], 101.0, []),
        (["stuck", 103.0], [4, 5], 103.0, ["again with seed 5: design must be routable on board ulx3s: stuck"]),
        ([90.0, 97.0, 95.0], [4, 5, 6], 97.0,
         ["again with seed 5: 90.00 MHz of 100.00 MHz reached", "again with seed 6: 97.00 MHz of 100.00 MHz reached"]),
        ([90.0, "stuck", 120.0], [4, 5, 6], 120.0,
         ["again with seed 5: 90.00 MHz of 100.00 MHz reached",
          "again with seed 6: design must be routable on board ulx3s: stuck"]),
    ],
)  # fmt: skip
def test_attempts(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[float | str], seeds: list[int], clock: float, notes: list[str]
) -> None:
    tried, told = results(monkeypatch, outcomes), list[str]()
    found = attempt(Path("top.json"), "", BOARD, Options(seed=4), note=told.append)
    assert tried == seeds
    assert found.design_clock.achieved_mhz == clock
    assert told == [f"place and route {line}" for line in notes]


def test_no_seed_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = results(monkeypatch, ["stuck", "worse", "worst"])
    with pytest.raises(RoutingError, match="worst"):
        attempt(Path("top.json"), "", BOARD, Options())
    assert tried == [1, 2, 3]


def test_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = results(monkeypatch, [90.0])
    assert attempt(Path("top.json"), "", BOARD, Options(), once=True).design_clock.achieved_mhz == 90.0
    assert tried == [1]


def test_a_tool_without_progress_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "POLL", 0.05)
    (tmp_path / "slow.py").write_text(
        "import time\ndef main(arguments):\n    print('on', flush=True); time.sleep(60)\n"
    )
    monkeypatch.setitem(tools.ENTRY_POINTS, "nextpnr-ecp5", ("slow", "main"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "top.json").write_text(json.dumps({"modules": {}}))
    asked: list[str] = []

    def give_up(text: str) -> bool:
        asked.append(text)
        return len(asked) == 3

    original = tools.run

    def run(tool: str, arguments: Any, directory: Path, name: str, **options: Any) -> float:
        (directory / "nextpnr.log").write_text("so far")
        return original(tool, arguments, directory, name, **options)

    monkeypatch.setattr(layout.tools, "run", run)
    with pytest.raises(RoutingError) as error:
        layout.place_and_route(tmp_path / "top.json", "", BOARD, give_up=give_up)
    assert str(error.value) == (
        "design must be routable on board ulx3s: the router does not come to an end; nextpnr's log is "
        f"{tmp_path / 'nextpnr.log'}"
    )
    assert asked == ["so far"] * 3
