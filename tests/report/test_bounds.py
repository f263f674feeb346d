"""Rooflines of a frame and of a layer, and which roof it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnnhw.report import Memory, frame_roofline, layer_roofline
from tests.report.sample import ARRAY, inputs


def test_frame_under_the_roof_of_compute() -> None:
    found = inputs(front_ace=7168)
    roof = frame_roofline(found)
    assert roof.compute == sum(layer.ace for layer in found.layers) / (ARRAY.macs_per_cycle + 7168)
    assert roof.memory == sum(layer.bytes_moved for layer in found.layers) / 240
    assert (roof.bound, roof.cycles) == ("compute", roof.compute)


def test_frame_under_the_roof_of_memory() -> None:
    roof = frame_roofline(inputs(memory=Memory("SDRAM", 0.5)))
    assert (roof.bound, roof.cycles) == ("memory", roof.memory)


@pytest.mark.parametrize(("unit", "compute"), [("array", ARRAY.macs_per_cycle), ("front", 7168)])
def test_layer_on_its_own_unit(unit: str, compute: int) -> None:
    found = inputs(front_ace=7168)
    stem = replace(found.layers[0], unit=unit)
    roof = layer_roofline(stem, found)
    assert (roof.compute, roof.memory) == (stem.ace / compute, stem.bytes_moved / 240)
