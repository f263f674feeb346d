"""Makes report.json from measured numbers, derives the figures of merit, and checks the result against its schema."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema

from bnnhw.errors import FileFormatError
from bnnhw.report.bounds import frame_roofline, layer_roofline
from bnnhw.report.chip import floorplan
from bnnhw.report.inputs import KINDS, LayerCost, ReportInputs

KIND = "bnnhw report"
VERSION = 1
"""Raised by one whenever a reader of the previous version would misread a report."""


@cache
def _validator() -> Callable[[Any], Any]:
    schema = json.loads(resources.files("bnnhw.report").joinpath("schema.json").read_text("utf-8"))
    check: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return check


def check_report(report: Any, source: str = "report") -> dict[str, Any]:
    """Return ``report`` if it follows the schema.

    Raises FileFormatError naming ``source``, the field and the rule; an unknown version is named as such.
    """
    if not isinstance(report, dict) or report.get("kind") != KIND:
        raise FileFormatError(f"{source} must be a {KIND}, and is not one")
    if report.get("version") != VERSION:
        raise FileFormatError(f"{source} must be of version {VERSION}, not {report.get('version')!r}")
    try:
        _validator()(report)
    except fastjsonschema.JsonSchemaValueException as error:
        raise FileFormatError(f"{source} does not follow its schema: {error.message}") from None
    return report


def build_report(inputs: ReportInputs) -> dict[str, Any]:
    """The report of ``inputs`` as plain JSON values.

    Derived here: utilisation = roofline / cycles (`report.bounds`); ideal = ACE of the array's layers / array; fps =
    clock / cycles; fps_link = link rate / bytes of a frame in the busier direction. Cycles are the simulated ones
    where there was a simulation, else the predicted ones.
    """
    layers = [_layer(layer, inputs) for layer in inputs.layers]
    ace = sum(layer.ace for layer in inputs.layers)
    bytes_moved = sum(layer.bytes_moved for layer in inputs.layers)
    losses = _total_losses(inputs)
    predicted = sum(layer.cycles for layer in inputs.layers) + round(sum(inputs.frame_losses.values()))
    simulation = inputs.simulation
    cycles = simulation.cycles if simulation else predicted
    roofline = frame_roofline(inputs).cycles
    hertz = inputs.clock_mhz * 1e6
    report: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "model": inputs.model,
        "board": inputs.board,
        "weights": inputs.weights,
        "paper": inputs.paper,
        "command": inputs.command,
        "input": list(inputs.input),
        "classes": inputs.classes,
        "macs": sum(layer.macs for layer in inputs.layers),
        "ace": {"total": ace, "paper": inputs.ace_paper},
        "array": {name: getattr(inputs.array, name) for name in ("rows", "cols", "depth", "lanes")},
        "ace_per_cycle": {"array": inputs.array.macs_per_cycle, "front": inputs.front_ace},
        "memory": asdict(inputs.memory),
        "cycles": {
            "predicted": predicted,
            "simulated": simulation.cycles if simulation else None,
            "roofline": _rounded(roofline),
            "ideal": _rounded(sum(layer.ideal for layer in inputs.layers)),
        },
        "losses": losses,
        "loss_meanings": dict(inputs.losses),
        "utilisation": _rounded(roofline / cycles),
        "fmax_mhz": inputs.fmax_mhz,
        "clock_mhz": inputs.clock_mhz,
        "timing_met": None if inputs.fmax_mhz is None else inputs.fmax_mhz >= inputs.clock_mhz,
        "fps": _rounded(hertz / cycles),
        "fps_link": _rounded(inputs.link_bytes_per_s / max(inputs.image_bytes, inputs.score_bytes)),
        "latency_ms": _rounded(inputs.latency_cycles / hertz * 1e3),
        "resources": _resources(inputs.resources),
        "lut4_per_mac": None
        if inputs.lut4_array is None
        else _rounded(inputs.lut4_array / inputs.array.macs_per_cycle),
        "weight_bits": sum(layer.weight_bits for layer in inputs.layers),
        "bytes_moved": bytes_moved,
        "bytes": {kind: sum(layer.bytes.get(kind, 0) for layer in inputs.layers) for kind in KINDS},
        "accuracy": _accuracy(inputs),
        "simulation": _simulation(inputs),
        "seconds": {stage: round(value, 3) for stage, value in inputs.seconds.items()},
        "tools": dict(inputs.tools),
        "layers": layers,
        "memory_plan": {
            "memories": [asdict(memory) for memory in inputs.memories],
            "maps": [asdict(placed) for placed in inputs.maps],
        },
        "floorplan": floorplan(inputs.placement, inputs.device_grid) if inputs.placement else None,
    }
    return check_report(report)


def read_report(path: Path) -> dict[str, Any]:
    """The checked report.json at ``path``. Raises FileFormatError: not there, not JSON, not a report."""
    try:
        report = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise FileFormatError(f"report {path} must be a readable file: {error.strerror}") from None
    except ValueError as error:
        raise FileFormatError(f"report {path} must be JSON: {error}") from None
    return check_report(report, f"report {path}")


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write ``report`` as JSON to ``path``, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    os.replace(part, path)


def _rounded(value: float) -> float:
    """Six significant digits: more would only show noise of the division."""
    return float(f"{value:.6g}")


def _layer(layer: LayerCost, inputs: ReportInputs) -> dict[str, Any]:
    unknown = [name for name in layer.losses if name not in inputs.losses]
    assert not unknown, f"layer {layer.name}: losses {unknown} have no meaning given"
    total = layer.ideal + sum(layer.losses.values())
    assert abs(total - layer.cycles) < 0.5, f"layer {layer.name}: ideal + losses is {total}, not {layer.cycles}"
    roofline = layer_roofline(layer, inputs).cycles
    return {
        "name": layer.name,
        "kind": layer.kind,
        "unit": layer.unit,
        "output": list(layer.output),
        "precision": layer.precision,
        "macs": layer.macs,
        "ace": layer.ace,
        "weight_bits": layer.weight_bits,
        "bytes_moved": layer.bytes_moved,
        "bytes": {kind: layer.bytes.get(kind, 0) for kind in KINDS},
        "cycles": {"predicted": layer.cycles, "ideal": _rounded(layer.ideal), "roofline": _rounded(roofline)},
        "losses": {name: _rounded(layer.losses[name]) for name in inputs.losses if layer.losses.get(name)},
        "utilisation": _rounded(roofline / layer.cycles) if layer.cycles else 0.0,
    }


def _total_losses(inputs: ReportInputs) -> dict[str, float]:
    """Losses of all layers and of the frame, in drawing order; every name, so that readers find it at 0 too."""
    parts = [layer.losses for layer in inputs.layers] + [inputs.frame_losses]
    return {name: _rounded(sum(part.get(name, 0) for part in parts)) for name in inputs.losses}


def _resources(found: Mapping[str, tuple[int, int]] | None) -> dict[str, dict[str, int]] | None:
    if found is None:
        return None
    return {name: {"used": used, "available": available} for name, (used, available) in found.items()}


def _accuracy(inputs: ReportInputs) -> dict[str, Any] | None:
    found = inputs.accuracy
    if found is None:
        return None
    share = _rounded(found.correct / found.count)
    return {"data": found.data, "count": found.count, "correct": found.correct, "accuracy": share}


def _simulation(inputs: ReportInputs) -> dict[str, Any] | None:
    found = inputs.simulation
    if found is None:
        return None
    return {
        "level": found.level,
        "images": found.images,
        "mismatches": found.mismatches,
        "counters": dict(found.counters),
    }
