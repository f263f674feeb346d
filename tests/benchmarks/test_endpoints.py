"""Endpoints of a routed design: which count, how they are grouped, what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.endpoints import Endpoint, group, later_than, main, part_of, read_endpoints, signal_of

CLOCK = "posedge top.engine.clk"


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("top.link.scores.id_3_TRELLIS_FF_Q_27", "top.link.scores.id_#"),
        ("top.engine.scores.fifo.inner_level_TRELLIS_FF_Q", "top.engine.scores.fifo.inner_level"),
        ("top.engine.array.block_14_0.pe_0_1.chain.acc_TRELLIS_FF_Q_9", "top.engine.array.block_#_#.pe_#_#.chain.acc"),
        ("top.engine.post.params.neg_1.0.2$DPRAM_COMB0", "top.engine.post.params.neg_#.#.#"),
        ("top.engine.activations.bank_0_7.0.0", "top.engine.activations.bank_#_#.#.#"),
        ("top.engine.post.o_y$119_TRELLIS_FF_Q_12", "top.engine.post.o_y$#"),
        ("top.engine.post.walker.cell.$like_TRELLIS_FF_Q_4", "top.engine.post.walker.cell.$like"),
        ("top.engine.array.block_8_0.i_weights[1]_TRELLIS_FF_Q_2", "top.engine.array.block_#_#.i_weights[#]"),
    ],
)
def test_part_of_a_cell(cell: str, part: str) -> None:
    assert part_of(cell) == part


@pytest.mark.parametrize(
    ("net", "signal"),
    [
        ("top.engine.issue.free_LUT4_C_1_Z_LUT4_D_Z", "top.engine.issue.free"),
        ("top.engine.running_TRELLIS_FF_Q_DI_LUT4_Z_D_CCU2C_S0_COUT_CCU2C_CIN_S1", "top.engine.running"),
        ("top.engine.lane_2.x_CCU2C_S1", "top.engine.lane_2.x"),
        ("top.link.counters", "top.link.counters"),
    ],
)
def test_signal_of_a_net(net: str, signal: str) -> None:
    assert signal_of(net) == signal


def test_groups() -> None:
    ends = [
        Endpoint(9.5, "a.x_1_TRELLIS_FF_Q_3", "DI", "n"),
        Endpoint(9.9, "a.x_2_TRELLIS_FF_Q", "CE", "m"),
        Endpoint(9.7, "b.y_TRELLIS_FF_Q", "DI", "n"),
        Endpoint(9.0, "c.z_TRELLIS_FF_Q", "DI", "n"),
    ]
    found = group(ends, 9.0)
    assert [(each.part, each.count, each.worst.net) for each in found] == [("a.x_#", 2, "m"), ("b.y", 1, "n")]
    assert later_than(ends) == [(7, 4), (8, 4), (9, 3), (10, 0)]
    assert later_than(ends[3:]) == [(7, 1), (8, 1), (9, 0)]
    assert later_than([]) == [(7, 0)]


def net(name: str, event: str, *ends: tuple[str, float, str]) -> dict[str, Any]:
    """A net as nextpnr reports it, with the latest arrival at each of its ends."""
    found = [{"cell": c, "port": "DI", "delay": [1.0, delay], "event": to} for c, delay, to in ends]
    return {"driver": "d", "port": "F", "net": name, "event": event, "endpoints": found}


@pytest.fixture
def timing(tmp_path: Path) -> Path:
    nets = [
        net("top.a_LUT4_Z", CLOCK, ("top.q_1_TRELLIS_FF_Q", 8.5, CLOCK), ("top.pad", 12.0, "<async>")),
        net("rx", "<async>", ("top.sync_TRELLIS_FF_Q", 11.0, CLOCK)),
        net("top.b", CLOCK, ("top.q_2_TRELLIS_FF_Q_7", 9.25, CLOCK), ("top.reset", 20.0, "posedge other")),
    ]
    (tmp_path / "timing.json").write_text(json.dumps({"detailed_net_timings": nets}))
    return tmp_path / "timing.json"


def test_paths_between_registers_of_one_clock(timing: Path) -> None:
    assert [(end.delay, end.cell) for end in read_endpoints(timing)] == [
        (9.25, "top.q_2_TRELLIS_FF_Q_7"),
        (8.5, "top.q_1_TRELLIS_FF_Q"),
    ]


def test_what_is_printed(timing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--timing", str(timing), "--above", "8"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 endpoints, the latest after 9.25 ns (108.1 MHz)",
        "later than  7 ns        2",
        "later than  8 ns        2",
        "later than  9 ns        1",
        "later than 10 ns        0",
        "",
        "2 endpoints later than 8 ns, in 1 groups:",
        "  9.25 ns      2  top.q_#  top.q_2_TRELLIS_FF_Q_7.DI from top.b",
    ]


@pytest.mark.parametrize("content", ["{}", "[]", '{"detailed_net_timings": [{"net": "a"}]}'])
def test_a_report_without_endpoints(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "timing.json").write_text(content)
    assert main(["--timing", str(tmp_path / "timing.json")]) == 2
    assert capsys.readouterr().err == (
        f"error: timing report {tmp_path / 'timing.json'} must be one that nextpnr writes with "
        "--detailed-timing-report, and is not\n"
    )


def test_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--timing", str(tmp_path / "nope.json")]) == 2
    expected = f"error: timing report {tmp_path / 'nope.json'} must be a readable JSON file, and is not\n"
    assert capsys.readouterr().err == expected
