"""A fabricated build of a small residual network, for the tests of the report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bnnhw.report import Accuracy, Array, LayerCost, MapMemory, Memory, PlacedMap, ReportInputs, Simulation
from bnnhw.report.inputs import Cell

LOSSES = {
    "edge": "rows or columns of the array beyond the edge of the layer",
    "padding": "bits of a depth word that carry no tap",
    "post": "waiting for the post-processing of the tile before",
    "weights": "waiting for weights",
    "drain": "emptying the array",
    "frame": "fetching the descriptor; entering and leaving the frame",
}
ARRAY = Array(rows=14, cols=16, depth=64, lanes=16)


def layer(name: str, kind: str, output: tuple[int, int, int], taps: int, planes: int, *losses: float) -> LayerCost:
    """A layer whose cycles follow from its work and its losses (rounded up into the last loss)."""
    macs = taps * math.prod(output) if kind == "conv" else 0
    ideal = macs * planes / ARRAY.macs_per_cycle
    named = dict(zip(LOSSES, losses, strict=False))
    named["drain"] = named.get("drain", 0.0) + math.ceil(ideal) - ideal
    cycles = round(ideal + sum(named.values()))
    return LayerCost(
        name=name,
        kind=kind,
        output=output,
        precision=f"1×{planes}" if kind == "conv" else "",
        macs=macs,
        ace=macs * planes,
        weight_bits=taps * output[2] if kind == "conv" else 0,
        bytes={"weights": taps * output[2] // 8, "params": output[2] * 9},
        cycles=cycles,
        ideal=ideal,
        losses=named,
    )


def layers() -> tuple[LayerCost, ...]:
    found = [layer("stem", "conv", (32, 32, 16), 27, 8, 120, 64, 400, 0)]
    for stage, (size, width) in enumerate(((32, 16), (16, 32), (8, 64))):
        for block in range(6):
            wait = 60.0 * (3 - stage)
            name = f"layer{stage + 1}.{block // 2}.conv{block % 2 + 1}"
            found.append(layer(name, "conv", (size, size, width), 9 * width, 1, 40, 11, wait, 25 * stage))
    found.append(layer("avgpool", "pool", (1, 1, 64), 64, 1, 0, 0, 64))
    found.append(layer("linear", "conv", (1, 1, 10), 64, 8, 20, 3, 15))
    return tuple(found)


def cells() -> tuple[Cell, ...]:
    """A plausible placement: an array in the middle, other parts around it."""
    parts = (
        "engine.array.pe",
        "engine.array.drain",
        "engine.post.lane",
        "engine.weights",
        "engine.sequencer",
        "host.uart",
    )
    found = []
    for index in range(14000):
        part = parts[min(5, index * 9 // 14000)]
        angle, radius = index * 2.399963, 3 + math.sqrt(index) * 0.44
        x, y = round(63 + radius * math.cos(angle)), round(48 + radius * 0.75 * math.sin(angle))
        found.append(Cell(x, y, f"{part}_{index % 7}.q$ff"))
    return tuple(found)


def inputs(**changes: Any) -> ReportInputs:
    """Inputs of a complete report, with ``changes``."""
    found = layers()
    cycles = sum(layer.cycles for layer in found) + 96
    full = ReportInputs(
        model="adabin_r20",
        board="ulx3s",
        weights="trained on CIFAR-10",
        command="bnnhw build --model adabin_r20.bnn --board ulx3s",
        input=(32, 32, 3),
        classes=10,
        array=ARRAY,
        memory=Memory("block RAM", 240.0),
        layers=found,
        losses=LOSSES,
        memories=(MapMemory("activation memory", 56, 900, 16), MapMemory("value memory", 1, 2048, 192)),
        maps=(
            PlacedMap("stem.bits", "activation memory", 0, 300, 0, 1),
            PlacedMap("layer1.0.conv1.bits", "activation memory", 300, 310, 1, 2),
            PlacedMap("stem.value", "value memory", 0, 1024, 0, 2),
        ),
        clock_mhz=100.0,
        latency_cycles=cycles + 900,
        image_bytes=3084,
        score_bytes=54,
        link_bytes_per_s=300_000.0,
        paper="AdaBin, ECCV 2022",
        frame_losses={"frame": 96.0},
        simulation=Simulation("rtl", 8, 0, cycles, {"frame": cycles, "issue": 20000, "post": 3000, "weights": 120}),
        accuracy=Accuracy("test_batch_first1000.bin", 1000, 888),
        fmax_mhz=112.43,
        resources={"lut4": (43210, 83640), "ff": (30123, 83640), "bram": (96, 208), "dsp": (32, 156)},
        lut4_array=35200,
        seconds={"compile": 2.1, "simulate": 71.0, "synthesise": 64.2, "place and route": 231.0, "pack": 2.0},
        tools={"bnnhw": "0.1.0", "yosys": "0.70", "nextpnr-ecp5": "0.11.1", "verilator": "5.048"},
        placement=cells(),
        device_grid=(126, 95),
    )
    return replace(full, **changes)
