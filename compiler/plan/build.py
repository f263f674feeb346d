"""Builds a plan for one shape: schedule, parameters, engine configuration, memory images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnnhw.compiler.cost import Cost, predict
from bnnhw.compiler.plan.bands import Bands
from bnnhw.compiler.plan.config import engine_config, unit_slope
from bnnhw.compiler.plan.descriptors import decode_words, job_word, load_word, step_words
from bnnhw.compiler.plan.fold import Channels, Rest, fold_channels
from bnnhw.compiler.plan.front import front_config
from bnnhw.compiler.plan.groups import check_sequence, check_shape, weight_width
from bnnhw.compiler.plan.orders import Orders, channel_orders, stored_channels
from bnnhw.compiler.plan.params import param_beats
from bnnhw.compiler.plan.places import BitPlace, ValuePlace
from bnnhw.compiler.plan.ranges import LayerRange, layer_ranges
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, default_spread, make_schedule, read_groups
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.spill import front_store, spill_config, spill_words, with_bursts
from bnnhw.compiler.plan.uses import Uses, find_uses
from bnnhw.compiler.plan.weights import (
    WeightImage,
    codebook_beats,
    conv_weights,
    input_weights,
    pool_weights,
    raw_beats,
)
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.network import Conv, Network
from bnnhw.spec.numbers import Codes, IntArray
from bnnhw.spec.program import CONV_BITS, CONV_INPUT, Images
from bnnhw.spec.sdram import SdramSetup


@dataclass(frozen=True, eq=False)
class Symbol:
    """Where rows ``first`` .. ``first`` + ``rows`` - 1 of a tensor (all, unless it is made in bands) can be found from
    job ``job`` (-1: the frame's start) of layer ``layer`` to layer ``last``, the last to read it: for traces and
    reports, not needed to run."""

    name: str
    layer: int
    last: int
    job: int
    place: BitPlace | ValuePlace
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class Plan:
    """An engine and the contents of its memories, which run ``network``.

    layer_of_job: index of the layer that each job belongs to. cost: predicted cycles. symbols: all stored tensors,
    by layer.
    """

    network: Network
    shape: Shape
    engine: EngineConfig
    images: Images
    layer_of_job: tuple[int, ...]
    symbols: tuple[Symbol, ...]
    cost: Cost

    def foreseen(self, count: int) -> dict[int, int]:
        """Cycles of those of ``count`` frames in a row after reset that the prediction says exactly, by their number.

        The first one waits for its image. Where the front unit stores its map in the SDRAM, how long the second one
        waits for it depends on when, after reset, the first image came between two refreshes; and the last one has no
        next image, and is faster.
        """
        stored, frames = int(self.images.front_store is not None), self.cost.frames
        return {n: frames[min(n, len(frames) - 1)] for n in range(1 + stored, count - stored)}


@dataclass(frozen=True, eq=False)
class Analysis:
    """What does not depend on the shape of the engine."""

    network: Network
    uses: Uses
    orders: Orders
    ranges: Sequence[LayerRange]


def analyse(network: Network) -> Analysis:
    """Uses, channel orders and ranges of a network; raises UnsupportedError for what the engine cannot run."""
    uses = find_uses(network)
    orders = channel_orders(network, uses)
    check_sequence(network, orders)
    return Analysis(network, uses, orders, layer_ranges(network, uses))


def make_plan(
    found: Analysis,
    shape: Shape,
    spread: frozenset[str] | None = None,
    external: SdramSetup | None = None,
    bands: Bands | None = None,
    spilled: frozenset[str] = frozenset(),
) -> Plan:
    """The plan of a network on one shape. ``spread``: bits maps that keep each channel group in one slot only;
    ``external``: where weights and parameters lie, if not in the engine; ``bands``, ``spilled``: see
    `make_schedule`."""
    network = found.network
    check_shape(network, shape)
    assert external is not None or not spilled, "spilled maps need an external memory"
    if spread is None:
        spread = default_spread(network, found.uses, found.orders, shape)
    schedule = make_schedule(network, found.uses, found.orders, shape, spread, bands, spilled)
    weights = [_weights(found, schedule, s) for s in schedule.jobs]
    channels = [_channels(found, schedule, s, own) for s, own in zip(schedule.jobs, weights, strict=True)]
    front, front_images = None, None
    if schedule.front is not None:
        front, front_images = front_config(network, schedule.front, shape, schedule.places, found.orders, found.ranges)
    config = engine_config(network, schedule, found.ranges, channels, front, external)
    bases: Mapping[str, int] = {}
    if spilled:
        spill, bases = spill_config(schedule, config)
        config = replace(config, spill=spill)
    images = replace(_images(found, config, schedule, weights, channels), front=front_images)
    if spilled:
        first = ExternalLayout.of(config, images).first_map
        memory = replace(schedule.memory, places=with_bursts(schedule.places, bases, first))
        schedule = replace(schedule, memory=memory)
        spills, store = spill_words(schedule, config), front_store(schedule, config)
        images = replace(images, spills=spills, front_store=store)
    return Plan(
        network=network,
        shape=shape,
        engine=config,
        images=images,
        layer_of_job=tuple(s.index for s in schedule.jobs),
        symbols=_symbols(found, schedule),
        cost=predict(config, images),
    )


def _out_order(found: Analysis, s: JobSchedule) -> IntArray:
    return found.orders[found.network.out_tensor(s.layer).name]


def _weights(found: Analysis, schedule: Schedule, s: JobSchedule) -> WeightImage | None:
    if not isinstance(s.layer, Conv):
        if s.layer.weight is None:
            return None
        width = weight_width(found.network)
        return pool_weights(s.layer, _out_order(found, s), s.passes, width, schedule.shape)
    if s.kind == CONV_INPUT:
        return input_weights(s.layer, schedule.input, _out_order(found, s), schedule.shape)
    place = schedule.places.bits[s.layer.source]
    groups = read_groups(s.layer, place)
    return conv_weights(s.layer, s.words, _out_order(found, s), place.order, groups, schedule.shape)


def _channels(found: Analysis, schedule: Schedule, s: JobSchedule, weights: WeightImage | None) -> Channels:
    lanes = schedule.shape.lanes
    count, unit = s.passes * s.groups * lanes, unit_slope(found.network)
    order = _out_order(found, s)
    return fold_channels(
        found.network, s.layer, found.ranges[s.index], order, count, weights, unit, _rest(found, schedule, s)
    )


def _rest(found: Analysis, schedule: Schedule, s: JobSchedule) -> Rest:
    """What this layer reads from stored positions without a channel."""
    network, places, lanes = found.network, schedule.places, schedule.shape.lanes
    code = count = 0
    source = network.tensors[s.layer.source]
    if s.kind == CONV_BITS and isinstance(source.format, Codes):
        producer = found.uses.producer[source.name]
        shift = network.layers[producer].post.publish.code_shift
        code = (found.ranges[producer].rest + (1 << shift >> 1)) >> shift
        code = min(max(code, 0), (1 << source.format.bits) - 1)
        count = places.bits[source.name].groups * lanes - source.channels
    residuals = [residual for residual in s.layer.post.residuals if not residual.tiled]
    if not residuals:
        return Rest(code, count)
    added = np.zeros(network.out_tensor(s.layer).channels, np.int64)
    for residual in residuals:
        place = places.values[residual.tensor]
        positions = stored_channels(_out_order(found, s), s.passes * s.groups * lanes)[: place.stored_groups * lanes]
        empty = stored_channels(place.order, place.stored_groups * lanes)[: len(positions)] < 0
        added[positions[(positions >= 0) & empty]] += found.ranges[found.uses.producer[residual.tensor]].rest
    return Rest(code, count, added)


def _images(
    found: Analysis,
    config: EngineConfig,
    schedule: Schedule,
    weights: Sequence[WeightImage | None],
    channels: Sequence[Channels],
) -> Images:
    jobs: list[int] = []
    loads: list[int] = []
    beats: list[int] = []
    params: list[int] = []
    for s, own, image in zip(schedule.jobs, channels, weights, strict=True):
        jobs.append(job_word(found.network, config, schedule, s, found.ranges[s.index], own))
        loads.append(load_word(config, s, own))
        params += param_beats(config, s, own)
        if image is not None:
            beats += _weight_beats(config, schedule.shape, image, s)
    return Images(
        jobs=tuple(jobs),
        steps=tuple(step_words(config, schedule)),
        loads=tuple(loads),
        decodes=tuple(decode_words(config, schedule)) if config.tau else (),
        weights=tuple(beats),
        params=tuple(params),
    )


def _weight_beats(config: EngineConfig, shape: Shape, image: WeightImage, s: JobSchedule) -> list[int]:
    beats: list[int] = []
    for number in range(s.passes):
        if s.decodes:
            assert image.index is not None
            assert image.codebook is not None
            beats += codebook_beats(image.index[number], image.codebook, config.tau, shape)
        else:
            beats += raw_beats(image.bits[number], shape)
    return beats


def _symbols(found: Analysis, schedule: Schedule) -> tuple[Symbol, ...]:
    uses, symbols = found.uses, list[Symbol]()
    places: list[tuple[str, BitPlace | ValuePlace]] = [*schedule.places.bits.items(), *schedule.places.values.items()]
    for name, place in places:
        layer, height = uses.producer[name], place.tensor.height
        last = (uses.bits(name) if isinstance(place, BitPlace) else uses.values(name))[-1]
        jobs = schedule.order.of(layer)
        if isinstance(place, BitPlace) and place.rows < height:
            symbols += [Symbol(name, layer, last, time, place, job.first, job.rows) for time, job in jobs]
        else:
            symbols.append(Symbol(name, layer, last, max((time for time, _ in jobs), default=-1), place, 0, height))
    return tuple(sorted(symbols, key=lambda s: (s.job, s.layer)))


__all__ = ["Analysis", "Plan", "Symbol", "analyse", "make_plan"]
