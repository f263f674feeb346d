"""What a design with weights in SDRAM writes and reports: weights.bin, identity, bytes of the memory, paths."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnnhw import boards, models
from bnnhw.cli.build import circuit
from bnnhw.cli.compare import Comparison
from bnnhw.cli.measure import array_path, lane_path, report_inputs
from bnnhw.cli.prepare import Prepared
from bnnhw.cli.program import identity, write_program
from bnnhw.cli.weight_file import WeightFile
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.report import build_report
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.link import image_wire_bytes
from bnnhw.spec.network import Conv


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    graph, board = models.load("snn_digits"), boards.get("ulx3s")
    network = lower(graph)
    plan = make_plan(analyse(network), Shape(2, 8, 16, 8, 2), external=board.sdram_setup(100_000_000))
    return Prepared("snn_digits", board, graph, network, plan)


def test_weight_file_is_what_the_device_wants(prepared: Prepared, tmp_path: Path) -> None:
    number = write_program(prepared, tmp_path)
    found, device = WeightFile.read(tmp_path / "weights.bin"), identity(prepared, number, 100_000_000)
    found.check(tmp_path / "weights.bin", device)
    plan = prepared.plan
    words = ExternalLayout.of(plan.engine, plan.images).pack(plan.images)
    assert found.content == words.tobytes()
    told = json.loads((tmp_path / "program.json").read_text())["weights"]
    assert (told["bytes"], told["crc"]) == (device.weight_bytes, f"{device.weight_crc:08x}")


def report_of(prepared: Prepared) -> dict[str, Any]:
    cost = prepared.plan.cost
    simulated = Comparison("rtl", 1, 0, cost.frame, cost.frame, cost.first, 1.0, np.zeros((1, 10), np.int64))
    return build_report(report_inputs(prepared, simulated, 100.0, command="bnnhw build", seconds={}))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_report_counts_what_is_read(prepared: Prepared) -> None:
    assert "sdram" in circuit(prepared, 1, prepared.board.clock_hz * 4).signature.members
    gc.collect()  # the circuit that nobody elaborates complains here, where it may, not in a later test
    assert (array_path(prepared), lane_path(prepared)) == ("top.engine.engine.array", "top.engine.engine.post.lane_")
    report = report_of(prepared)
    plan = prepared.plan
    layout = ExternalLayout.of(plan.engine, plan.images)
    assert report["memory"] == {"name": "SDRAM", "bytes_per_cycle": 2.0, "loaded_bytes": 16 * layout.params.end}
    assert report["bytes_moved"] == 2 * (layout.weights.words + layout.params.words)
    assert report["fps_link"] == pytest.approx(300_000 / image_wire_bytes(identity(prepared, 1, 1)), rel=1e-4)


def test_report_tells_what_array_and_front_unit_can_do() -> None:
    graph = snn.untrained("small", snn.Arch(blocks=(1, 1), widths=(8, 8), tau=4, size=32, classes=7))
    network = lower(graph)
    plan = make_plan(analyse(network), Shape(2, 8, 16, 4, 4, 4))
    report = report_of(Prepared("small", boards.get("ulx3s"), graph, network, plan))
    first = network.layers[0]
    assert isinstance(first, Conv)
    multipliers = first.window.kernel * 4
    assert report["ace_per_cycle"] == {"array": 2 * 8 * 16, "front": multipliers * 8 * first.weight_bits}
