"""The compiled program as files: program.json (engine, schedule, parameters) and weights.bin."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from bnnhw.cli.output import write_bytes
from bnnhw.cli.prepare import Prepared
from bnnhw.cli.weight_file import WeightFile
from bnnhw.errors import FileFormatError
from bnnhw.spec.external import ExternalLayout, WeightImage, weights_crc
from bnnhw.spec.link import Identity

KIND = "bnnhw program"
VERSION = 2
WEIGHTS = "weights.bin"
MEMORIES = ("jobs", "steps", "loads", "decodes", "params")


def sdram_image(prepared: Prepared) -> WeightImage | None:
    """What the SDRAM is loaded with; None where all weights are part of the bitstream."""
    engine, images = prepared.plan.engine, prepared.plan.images
    return None if engine.external is None else ExternalLayout.of(engine, images).image(images)


def weight_content(prepared: Prepared) -> bytes:
    """What weights.bin holds, see `WeightFile`."""
    image = sdram_image(prepared)
    if image is not None:
        return image.content
    size = -(-prepared.plan.engine.beat_bits // 8)
    return b"".join(beat.to_bytes(size, "little") for beat in prepared.plan.images.weights)


def program(prepared: Prepared) -> dict[str, Any]:
    """The content of program.json; same network and shape, same bytes. Memory words are hexadecimal."""
    plan, weights = prepared.plan, weight_content(prepared)
    shape = prepared.network.tensors[prepared.network.input]
    memories = MEMORIES if plan.engine.spill is None else (*MEMORIES, "spills")
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
        "memories": {name: [f"{word:x}" for word in getattr(plan.images, name)] for name in memories},
        "weights": {
            "file": WEIGHTS,
            "beats": len(plan.images.weights),
            "bits": plan.engine.beat_bits,
            "bytes": len(weights),
            "crc": f"{weights_crc(weights):08x}",
        },
    }
    digest = hashlib.sha256(json.dumps(content).encode() + weights)
    return content | {"build": digest.hexdigest()[:16]}


def write_program(prepared: Prepared, folder: Path) -> int:
    """Write program.json and weights.bin into ``folder``; returns the 64-bit build number."""
    content = program(prepared)
    build = int(content["build"], 16)
    WeightFile(prepared.network.name, build, weight_content(prepared)).write(folder / WEIGHTS)
    write_bytes(folder / "program.json", (json.dumps(content, indent=1) + "\n").encode())
    return build


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
    engine, image = prepared.plan.engine, sdram_image(prepared)
    return Identity(
        build=build,
        height=engine.input.height,
        width=engine.input.width,
        channels=engine.input.channels,
        scores=engine.scores,
        score_bits=engine.post.value_width,
        counters=len(engine.counters),
        clock_hz=clock_hz,
        weight_bytes=0 if image is None else len(image.content),
        weight_crc=0 if image is None else image.crc,
    )


def _plain(value: Any) -> Any:
    """Enums by value, tuples as lists, fractions as text: what JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Fraction):
        return str(value)
    return value.value if isinstance(value, Enum) else value
