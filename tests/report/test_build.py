"""report.json: derived figures, schema, refusal of what is not a report."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bnnhw.errors import FileFormatError
from bnnhw.report import Memory, Simulation, build_report, check_report, read_report, write_report
from tests.report.sample import inputs

NAMED_BY_CONTRACT = {
    "model",
    "board",
    "weights",
    "macs",
    "losses",
    "utilisation",
    "fmax_mhz",
    "clock_mhz",
    "fps",
    "fps_link",
    "latency_ms",
    "lut4_per_mac",
    "weight_bits",
    "bytes_moved",
    "accuracy",
    "seconds",
    "tools",
    "layers",
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return build_report(inputs())


def test_holds_what_the_contract_names(report: dict[str, Any]) -> None:
    assert NAMED_BY_CONTRACT.issubset(report)
    assert set(report["ace"]) == {"total", "paper"}
    assert set(report["array"]) == {"rows", "cols", "depth", "lanes"}
    assert {"predicted", "simulated", "roofline"} <= set(report["cycles"])
    assert set(report["resources"]) == {"lut4", "ff", "bram", "dsp"}


def test_losses_and_ideal_sum_to_the_predicted_cycles(report: dict[str, Any]) -> None:
    assert report["cycles"]["ideal"] + sum(report["losses"].values()) == pytest.approx(report["cycles"]["predicted"])
    for layer in report["layers"]:
        assert layer["cycles"]["ideal"] + sum(layer["losses"].values()) == pytest.approx(
            layer["cycles"]["predicted"], abs=0.5
        )


def test_figures_of_merit(report: dict[str, Any]) -> None:
    cycles = report["cycles"]["simulated"]
    assert report["cycles"]["roofline"] == pytest.approx(report["ace"]["total"] / (14 * 16 * 64), rel=1e-5)
    assert report["utilisation"] == pytest.approx(report["cycles"]["roofline"] / cycles, rel=1e-5)
    assert report["fps"] == pytest.approx(100e6 / cycles, rel=1e-5)
    assert report["fps_link"] == pytest.approx(300_000 / 3084, rel=1e-5)
    assert report["lut4_per_mac"] == pytest.approx(35200 / (14 * 16 * 64), rel=1e-5)
    assert report["timing_met"] is True


def test_slow_memory_is_the_roofline() -> None:
    report = build_report(inputs(memory=Memory("SDRAM", 2.0)))
    assert report["cycles"]["roofline"] == pytest.approx(report["bytes_moved"] / 2.0, rel=1e-5)


def test_front_unit_is_part_of_the_roofline() -> None:
    stem, *others = inputs().layers
    apart = replace(stem, unit="front", cycles=0, ideal=0.0, losses={})
    report = build_report(inputs(layers=(apart, *others), front_ace=7168))
    assert report["ace_per_cycle"] == {"array": 14 * 16 * 64, "front": 7168}
    assert report["cycles"]["roofline"] == pytest.approx(report["ace"]["total"] / (14 * 16 * 64 + 7168), rel=1e-5)
    assert report["cycles"]["ideal"] == pytest.approx(sum(layer.ace for layer in others) / (14 * 16 * 64), rel=1e-5)
    assert report["layers"][0]["cycles"]["roofline"] == pytest.approx(stem.ace / 7168, rel=1e-5)
    assert report["cycles"]["ideal"] + sum(report["losses"].values()) == pytest.approx(report["cycles"]["predicted"])


def test_bytes_by_layer_and_kind(report: dict[str, Any]) -> None:
    for kind in ("weights", "params"):
        assert report["bytes"][kind] == sum(layer["bytes"][kind] for layer in report["layers"])
    assert report["layers"][0]["bytes"] == {"weights": 27 * 16 // 8, "params": 16 * 9, "values": 0}
    assert report["bytes_moved"] == sum(report["bytes"].values())


def test_simulated_cycles_decide_over_predicted_ones() -> None:
    report = build_report(inputs(simulation=Simulation("rtl", 1, 0, 10_000)))
    assert report["fps"] == 10_000
    assert report["cycles"]["predicted"] != 10_000


def test_without_simulation_and_place_and_route() -> None:
    report = build_report(
        inputs(simulation=None, accuracy=None, fmax_mhz=None, resources=None, lut4_array=None, placement=())
    )
    assert report["cycles"]["simulated"] is None
    assert report["timing_met"] is None
    assert report["floorplan"] is None
    assert report["fps"] == pytest.approx(100e6 / report["cycles"]["predicted"], rel=1e-5)


def test_losses_that_do_not_sum_up_are_our_own_fault() -> None:
    found = inputs()
    wrong = replace(found.layers[0], cycles=found.layers[0].cycles + 1)
    with pytest.raises(AssertionError, match=re.escape("layer stem: ideal + losses is 831.0, not 832")):
        build_report(replace(found, layers=(wrong, *found.layers[1:])))


def test_write_and_read(report: dict[str, Any], tmp_path: Path) -> None:
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_same_inputs_same_bytes(report: dict[str, Any]) -> None:
    assert json.dumps(build_report(inputs())) == json.dumps(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "r must be a bnnhw report, and is not one"),
        ({"version": 2}, "r must be of version 1, not 2"),
        ({"fps": -1}, "r does not follow its schema: data.fps must be bigger than or equal to 0"),
        ({"layers": []}, "r does not follow its schema: data.layers must contain at least 1 items"),
        ({"surprise": 1}, "r does not follow its schema: data must not contain {'surprise'} properties"),
    ],
)
def test_refuses_what_is_not_a_report(report: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        check_report(copy.deepcopy(report) | change, "r")
    assert str(caught.value) == message


def test_refuses_a_missing_field(report: dict[str, Any]) -> None:
    short = {key: value for key, value in report.items() if key != "losses"}
    with pytest.raises(FileFormatError, match="must contain .*losses.* properties"):
        check_report(short)


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(FileFormatError) as caught:
        read_report(path)
    assert str(caught.value) == f"report {path} must be a readable file: No such file or directory"
    path.write_text("{")
    with pytest.raises(FileFormatError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"report {path} must be JSON: Expecting property name")
    path.write_text("[1]")
    with pytest.raises(FileFormatError) as caught:
        read_report(path)
    assert str(caught.value) == f"report {path} must be a bnnhw report, and is not one"
