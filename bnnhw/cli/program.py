"""The compiled program as files: program.json (engine, schedule, parameters) and weights.bin (the weight memory)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from bnnhw.cli.output import write_bytes
from bnnhw.cli.prepare import Prepared
from bnnhw.errors import FileFormatError
from bnnhw.spec.link import Identity

KIND = "bnnhw program"
VERSION = 1
MEMORIES = ("jobs", "steps", "loads", "decodes", "params")


def weight_image(prepared: Prepared) -> bytes:
    """The beats of the weight memory in the order of use, each little-endian in whole bytes."""
    size = -(-prepared.plan.engine.beat_bits // 8)
    return b"".join(beat.to_bytes(size, "little") for beat in prepared.plan.images.weights)


def program(prepared: Prepared) -> dict[str, Any]:
    """The content of program.json; same network and shape, same bytes. Memory words are hexadecimal."""
    plan, weights = prepared.plan, weight_image(prepared)
    shape = prepared.network.tensors[prepared.network.input]
    content: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "network": prepared.network.name,
        "classes": list(prepared.network.classes),
        "input": [shape.height, shape.width, shape.channels],
        "engine": _plain(asdict(plan.engine)),
        "cycles": plan.cost.frame,
        "layers": [layer.name for layer in prepared.network.layers],
        "layer_of_job": list(plan.layer_of_job),
        "memories": {name: [f"{word:x}" for word in getattr(plan.images, name)] for name in MEMORIES},
        "weights": {"file": "weights.bin", "beats": len(plan.images.weights), "bits": plan.engine.beat_bits},
    }
    digest = hashlib.sha256(json.dumps(content).encode() + weights)
    return content | {"build": digest.hexdigest()[:16]}


def write_program(prepared: Prepared, folder: Path) -> int:
    """Write program.json and weights.bin into ``folder``; returns the 64-bit build number."""
    content = program(prepared)
    write_bytes(folder / "weights.bin", weight_image(prepared))
    write_bytes(folder / "program.json", (json.dumps(content, indent=1) + "\n").encode())
    return int(content["build"], 16)


def read_program(path: Path) -> dict[str, Any]:
    """The content of a program.json. Raises FileFormatError when it is not one of this version."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise FileFormatError(f"program {path} must be a readable JSON file, and is not") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise FileFormatError(f"program {path} must be a {KIND}, and is not one")
    if content.get("version") != VERSION:
        raise FileFormatError(f"program {path} must be of version {VERSION}, not {content.get('version')!r}")
    return content


def identity(prepared: Prepared, build: int, clock_hz: int) -> Identity:
    """What a device with this program says of itself."""
    from bnnhw.spec.engine import COUNTERS

    engine = prepared.plan.engine
    return Identity(
        build=build,
        height=engine.input.height,
        width=engine.input.width,
        channels=engine.input.channels,
        scores=engine.scores,
        score_bits=engine.post.value_width,
        counters=len(COUNTERS),
        clock_hz=clock_hz,
    )


def _plain(value: Any) -> Any:
    """Enums by value, tuples as lists: what JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value
