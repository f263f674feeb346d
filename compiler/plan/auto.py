"""Choice of the array's shape: the engine that crowds the chip least and is fast enough, or within 5 % of the fastest.

Every shape is judged by a schedule without weights (milliseconds); number widths, which hardly depend on the shape, are
those of one plan that is built in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bnnhw.compiler.plan.build import Analysis, Plan, make_plan
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.compiler.plan.proposals import fetches, front_columns
from bnnhw.compiler.plan.resources import LUT_PER_PRODUCT, Resources, Sizes, check_fits, estimate
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, default_spread, make_schedule
from bnnhw.compiler.plan.shape import Limits, Shape
from bnnhw.errors import DoesNotFitError, UnsteadyError
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.memory import BLOCK_BITS
from bnnhw.spec.program import POOL, load_layout, param_bits
from bnnhw.spec.sdram import SdramSetup

MOST_MACS = 8192
"""Larger arrays do not route in reasonable time."""
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
COLS = (4, 8, 16, 32)
DEPTHS = (8, 16, 24, 32, 48, 64, 80, 96, 128)
LANES = (2, 4, 8, 16, 32)
SLACK = 1.05
LAYER_LATENCY = 30
"""Cycles from a layer's last step until the next layer's first, roughly."""
PASS_SWITCH = 2
FINAL_TRIES = 6
ALIKE = 0.01
"""Shapes whose crowding differs by less are alike: the fastest of them is taken ..."""
CROWDED = 1.0
"""... but on a chip as crowded as this the one with the narrowest weight beats, whose wires go to all columns."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A shape that fits, with its estimated cycles and resources."""

    shape: Shape
    spread: frozenset[str]
    cycles: int
    need: Resources


def choose(found: Analysis, limits: Limits, enough: int = 0, external: SdramSetup | None = None) -> Plan:
    """The best plan for a chip; frames of ``enough`` cycles are fast enough. ``external``: where weights lie.

    Raises DoesNotFitError naming what the smallest engine lacks; UnsteadyError where none of the best is steady.
    """
    candidates, smallest = _search(found, limits, enough, external)
    if not candidates:
        if smallest is None:
            channels = found.network.tensors[found.network.input].channels
            raise DoesNotFitError(
                f"input of network {found.network.name} must have at most 64 channels, not {channels}"
            )
        check_fits(found.network.name, smallest[0], smallest[1], limits)
    most = max(enough, SLACK * min(c.cycles for c in candidates))
    near = [c for c in candidates if c.cycles <= most]
    near.sort(key=lambda c: (c.need.crowding(limits), c.cycles))
    least = near[0].need.crowding(limits)
    alike = [c for c in near if c.need.crowding(limits) <= least + ALIKE]
    alike.sort(key=lambda c: (c.shape.fetch * c.shape.depth if least >= CROWDED else 0, c.cycles))
    near[: len(alike)] = alike
    plans = []
    fastest = min(near, key=lambda c: c.cycles)  # what the others are measured by
    for candidate in dict.fromkeys([*near[: FINAL_TRIES - 1], fastest]):
        try:
            plan = make_plan(found, candidate.shape, candidate.spread, external)
        except UnsteadyError:
            continue  # others may be steady
        need = estimate(plan.engine, Sizes.of(plan.images))
        if need.over(limits) is None:
            plans.append(plan)
            if plan.cost.frame <= enough:
                return plan
    if not plans:
        plan = make_plan(found, near[0].shape, near[0].spread, external)
        check_fits(found.network.name, plan.engine, estimate(plan.engine, Sizes.of(plan.images)), limits)
    most = max(enough, SLACK * min(p.cost.frame for p in plans))
    return next(p for p in plans if p.cost.frame <= most)


def _search(
    found: Analysis, limits: Limits, enough: int, external: SdramSetup | None
) -> tuple[list[Candidate], tuple[EngineConfig, Resources] | None]:
    """All shapes that fit and can be among the best, and the engine that comes nearest to fitting."""
    candidates: list[Candidate] = []
    maps = frozenset(found.uses.convs) - {found.network.input}
    nearest: tuple[float, EngineConfig, Resources] | None = None
    fastest = float("inf")
    shapes = list(_shapes(found, limits))
    if not shapes:
        return [], None
    reference = _Reference.of(_first_plan(found, shapes, limits, external))
    for whole in shapes:
        if _ideal(found, whole) > max(enough, SLACK * fastest) or (candidates and _hopeless(reference, whole, limits)):
            continue
        for spread in dict.fromkeys((default_spread(found.network, found.uses, found.orders, whole), maps)):
            schedule = make_schedule(found.network, found.uses, found.orders, whole, spread)
            for shape in fetches(found, whole, external):
                config, sizes = _sketch(reference, schedule, shape)
                need = estimate(config, sizes)
                over = need.over(limits)
                if over is None:
                    cycles = _cycles(config, schedule, shape, reference.classes)
                    fastest = min(fastest, cycles)
                    candidates.append(Candidate(shape, spread, cycles, need))
                elif nearest is None or over[1] / max(over[2], 1) < nearest[0]:
                    nearest = over[1] / max(over[2], 1), config, need
            if candidates and candidates[-1].shape == whole:
                break  # it fits with more memory as well as it can
    return candidates, None if nearest is None else nearest[1:]


def _first_plan(found: Analysis, shapes: Sequence[Shape], limits: Limits, external: SdramSetup | None) -> Plan:
    """The plan in full of the first shape that has one. Raises DoesNotFitError for maps that no shape can hold."""
    first, *others = shapes
    try:
        plan = make_plan(found, first, external=external)
    except UnsteadyError:
        if not others:
            raise
        return _first_plan(found, others, limits, external)
    _check_maps(plan, limits)
    return plan


def _check_maps(plan: Plan, limits: Limits) -> None:
    """Raises DoesNotFitError for a map of values that no shape can hold: all of them stay on the chip."""
    width = plan.engine.post.value_width
    for tensor in (symbol.place.tensor for symbol in plan.symbols if isinstance(symbol.place, ValuePlace)):
        need = -(-tensor.height * tensor.width * tensor.channels * width // BLOCK_BITS)
        if need > limits.bram18k:
            raise DoesNotFitError(
                f"block RAMs of tensor {tensor.name} of network {plan.network.name} ({tensor.height} x {tensor.width} "
                f"x {tensor.channels} values of {width} bits) must be at most {limits.bram18k}, not {need}"
            )


def _shapes(found: Analysis, limits: Limits) -> Iterator[Shape]:
    """Shapes worth a look, the largest array first; fetch = cols."""
    network = found.network
    channels = network.tensors[network.input].channels
    widest = max(network.out_tensor(layer).width for layer in network.layers)
    most = max(network.out_tensor(layer).channels for layer in network.layers)
    fronts = {lanes: front_columns(found, limits, lanes) for lanes in LANES}
    shapes = [
        Shape(rows, cols, depth, lanes, cols, fronts[lanes])
        for rows in ROWS
        for cols in COLS
        for depth in DEPTHS
        for lanes in LANES
        if cols % lanes == 0 and depth % lanes == 0 and depth >= channels
        if rows < 2 * widest
        and cols < 2 * most
        and rows * cols * depth <= min(MOST_MACS, limits.lut4 / LUT_PER_PRODUCT)
    ]
    if not shapes:
        smallest = min((d for d in DEPTHS if d >= channels), default=0)
        shapes = [Shape(1, 4, smallest, 4, 4)] if smallest else []
    yield from sorted(shapes, key=lambda s: (-s.rows * s.cols * s.depth, s.rows, s.cols, s.lanes))


def _ideal(found: Analysis, shape: Shape) -> float:
    """Cycles if every PE worked in every cycle."""
    layers = found.network.layers[1 if shape.front else 0 :]
    ace = sum(found.network.ace(layer) for layer in layers)
    return ace / (shape.rows * shape.cols * shape.depth)


def _hopeless(reference: _Reference, shape: Shape, limits: Limits) -> bool:
    """Whether array and lanes alone need more LUT4s or multipliers than there are."""
    config = replace(
        reference.engine,
        rows=shape.rows,
        cols=shape.cols,
        depth=shape.depth,
        lanes=shape.lanes,
        fetch=shape.fetch,
        bit_words=1,
        value_words=1,
        weight_words=1,
    )
    need = estimate(config, Sizes(1, 1))
    return need.lut4 > limits.lut4 or need.dsp > limits.dsp


@dataclass(frozen=True, eq=False)
class _Reference:
    """What a plan in full says about others: its engine, and the border classes of layers."""

    engine: EngineConfig
    classes: Mapping[int, int]

    @classmethod
    def of(cls, plan: Plan) -> _Reference:
        layout, classes = load_layout(plan.engine), {}
        for layer, load in zip(plan.layer_of_job, plan.images.loads, strict=True):
            classes[layer] = layout.unpack(load)["last_class"] + 1
        return cls(plan.engine, classes)


def _sketch(reference: _Reference, schedule: Schedule, shape: Shape) -> tuple[EngineConfig, Sizes]:
    """The engine's configuration, with the number widths of another shape."""
    count = max(1, reference.engine.entries_per_beat)
    per_beat = max(n for n in range(1, shape.lanes + 1) if shape.lanes % n == 0 and n <= count)
    config = replace(
        reference.engine,
        rows=shape.rows,
        cols=shape.cols,
        depth=shape.depth,
        lanes=shape.lanes,
        fetch=shape.fetch,
        input=schedule.input,
        bit_words=max(schedule.memory.bit_words, 1),
        value_words=max(schedule.memory.value_words, 1),
        weight_words=max(s.weight_words for s in schedule.jobs),
        steps=schedule.steps.count,
        jobs=len(schedule.jobs),
        passes=max(s.passes for s in schedule.jobs),
        decodes=len(schedule.decodes),
        halo_reach=schedule.places.halo_reach,
        alike=schedule.alike,
        entries_per_beat=per_beat,
    )
    if config.front is not None:
        groups = -(-config.front.outs // shape.lanes)
        own = replace(config.front, columns=shape.front, lanes=shape.lanes, outs=groups * shape.lanes)
        config = replace(config, front=own)
    weights = sum(s.passes * _beats(config, s) for s in schedule.jobs)
    params = sum(s.passes * _params(config, reference.classes[s.index]) for s in schedule.jobs)
    return config, Sizes(weights, params)


def _beats(config: EngineConfig, s: JobSchedule) -> int:
    """Weight beats of a pass."""
    groups = config.cols // config.fetch
    return 9 + groups * sum(d.load for d in s.decodes) * config.tau if s.decodes else groups * s.weight_words


def _params(config: EngineConfig, classes: int) -> int:
    """Parameter beats of a pass."""
    return config.cols + classes * config.cols // config.entries_per_beat


def _cycles(config: EngineConfig, schedule: Schedule, shape: Shape, classes: Mapping[int, int]) -> int:
    """Estimated cycles of a frame: each pass computes while the next one is loaded; a front unit begins when its map
    may be stored."""
    work: list[int] = []
    load: list[int] = []
    blocked = total = 0
    for s in schedule.jobs:
        count = classes[s.index]
        tiles = s.job.rows * s.strip * (s.strips if s.kind == POOL else 1)
        decoding = config.cols // shape.fetch * len(s.decodes)
        work += [tiles * max(s.steps, s.vectors * s.out_planes) + PASS_SWITCH] * s.passes
        needed = max(_beats(config, s) + decoding, _params(config, count))
        if config.external is not None:
            words = _beats(config, s) * config.beat_bits + _params(config, count) * param_bits(config)
            needed = max(needed, words // WORD)
        load += [needed] * s.passes
        total += LAYER_LATENCY
        blocked = blocked if s.front_rows else len(work)
    total += load[0] + sum(max(a, b) for a, b in zip(work, [*load[1:], 0], strict=True))
    return total if config.front is None else max(total, config.front.cycles + sum(work[:blocked]))


__all__ = ["choose"]
