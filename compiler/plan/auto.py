"""Choice of the array's shape: the engine that crowds the chip least and is fast enough, or within 5 % of the fastest.

Every shape is judged by a schedule without weights (milliseconds); number widths, which hardly depend on the shape, are
those of one plan that is built in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bnnhw.compiler.plan.build import Analysis, Plan, make_plan
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.levels import BUS, JOB, spill_levels, spilled_words
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.compiler.plan.resources import LUT_PER_PRODUCT, Resources, Sizes, check_fits, estimate
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, default_spread, make_schedule
from bnnhw.compiler.plan.shape import Limits, Shape
from bnnhw.compiler.plan.spill import spill_config
from bnnhw.compiler.plan.uses import INPUT_BITS
from bnnhw.errors import DoesNotFitError
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.memory import BLOCK_BITS
from bnnhw.spec.network import Conv
from bnnhw.spec.program import POOL, load_layout, param_bits
from bnnhw.spec.sdram import SdramSetup

MOST_MACS = 8192
"""Larger arrays do not route in reasonable time."""
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
COLS = (4, 8, 16, 32)
DEPTHS = (8, 16, 24, 32, 48, 64, 80, 96, 128)
LANES = (2, 4, 8, 16, 32)
FETCH_PARTS = (1, 2, 4, 8, 16)
SLACK = 1.05
LAYER_LATENCY = 30
"""Cycles from a layer's last step until the next layer's first, roughly."""
PASS_SWITCH = 2
FINAL_TRIES = 6
SPILLED_TRIES = 2
"""Exact cycles of an engine that spills take many seconds."""
ALIKE = 0.01
"""Shapes whose crowding differs by less are alike: the fastest of them is taken ..."""
CROWDED = 1.0
"""... but on a chip as crowded as this the one with the narrowest weight beats, whose wires go to all columns."""
WINDOW_SHARE = 0.5
"""Share of the block RAM that the image's windows may take; beyond it a front unit computes its convolution."""
FRONT_SHARE = 0.75
"""Share of the multipliers that a front unit may take."""
MOST_COLUMNS = 16


@dataclass(frozen=True, eq=False)
class Candidate:
    """A shape that fits, with its estimated cycles and resources."""

    shape: Shape
    spread: frozenset[str]
    cycles: int
    need: Resources
    spilled: frozenset[str] = frozenset()

    def plan(self, found: Analysis, external: SdramSetup | None) -> Plan:
        """The plan in full."""
        return make_plan(found, self.shape, self.spread, external, spilled=self.spilled)


def choose(
    found: Analysis,
    limits: Limits,
    enough: int = 0,
    external: SdramSetup | None = None,
    sdram: SdramSetup | None = None,
) -> Plan:
    """The best plan for a chip; frames of ``enough`` cycles are fast enough. ``external``: where weights lie;
    ``sdram``: what takes maps of values that do not fit the chip, if there is one. Then weights come from it, too.

    Raises DoesNotFitError naming what the smallest engine lacks.
    """
    references = _References(found)
    candidates, smallest = _search(found, limits, enough, external, references, spills=sdram is not None)
    if not candidates and sdram is not None:
        external = sdram
        front = any(_front(found, limits, lanes) for lanes in LANES)
        for spilled in spill_levels(found.network, found.uses, front):
            least_cycles = min((c.cycles for c in candidates), default=float("inf"))
            more, nearest = _search(found, limits, enough, sdram, references, spilled, least_cycles)
            candidates += more
            smallest = nearest or smallest
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
    tries = SPILLED_TRIES if fastest.spilled else FINAL_TRIES
    for candidate in dict.fromkeys([*near[: tries - 1], fastest]):
        plan = candidate.plan(found, external)
        need = estimate(plan.engine, Sizes.of(plan.images))
        if need.over(limits) is None:
            plans.append(plan)
            if plan.cost.frame <= enough:
                return plan
    if not plans:
        plan = near[0].plan(found, external)
        check_fits(found.network.name, plan.engine, estimate(plan.engine, Sizes.of(plan.images)), limits)
    most = max(enough, SLACK * min(p.cost.frame for p in plans))
    return next(p for p in plans if p.cost.frame <= most)


def spilled_need(found: Analysis, plan: Plan, sdram: SdramSetup, spilled: frozenset[str]) -> Resources:
    """What the engine of a plan would need with these maps in ``sdram``, and its weights."""
    maps = frozenset(found.uses.convs)
    schedule = make_schedule(found.network, found.uses, found.orders, plan.shape, maps, spilled=spilled)
    reference = _Reference.of(plan)
    return estimate(*_sketch(replace(reference, engine=replace(plan.engine, external=sdram)), schedule, plan.shape))


def _search(
    found: Analysis,
    limits: Limits,
    enough: int,
    external: SdramSetup | None,
    references: _References,
    spilled: frozenset[str] = frozenset(),
    fastest: float = float("inf"),
    spills: bool = True,
) -> tuple[list[Candidate], tuple[EngineConfig, Resources] | None]:
    """All shapes that fit and can be among the best, and the engine that comes nearest to fitting. ``spilled``: maps in
    the SDRAM; ``fastest``: cycles of the fastest candidate so far; ``spills``: large maps may be spilled."""
    reference: _Reference | None = None
    candidates: list[Candidate] = []
    maps = frozenset(found.uses.convs) - {found.network.input}
    nearest: tuple[float, EngineConfig, Resources] | None = None
    for whole in _shapes(found, limits):
        if reference is None:
            reference = references.get(whole, external)
            if not spills:
                _check_maps(reference.plan, limits)
        if _ideal(found, whole) > max(enough, SLACK * fastest) or (
            (candidates or spilled) and _hopeless(reference, whole, limits)
        ):
            continue
        for spread in dict.fromkeys((default_spread(found.network, found.uses, found.orders, whole), maps)):
            schedule = make_schedule(found.network, found.uses, found.orders, whole, spread, spilled=spilled)
            for shape in _fetches(found, whole, external):
                config, sizes = _sketch(reference, schedule, shape)
                need = estimate(config, sizes)
                over = need.over(limits)
                if over is None:
                    cycles = _cycles(config, schedule, shape, reference.classes)
                    fastest = min(fastest, cycles)
                    candidates.append(Candidate(shape, spread, cycles, need, spilled))
                elif nearest is None or over[1] / max(over[2], 1) < nearest[0]:
                    nearest = over[1] / max(over[2], 1), config, need
            if candidates and candidates[-1].shape == whole:
                break  # it fits with more memory as well as it can
    return candidates, None if nearest is None else nearest[1:]


def _check_maps(plan: Plan, limits: Limits) -> None:
    """Raises DoesNotFitError for a map of values that no shape can hold, where all of them stay on the chip."""
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
    fronts = {lanes: _front(found, limits, lanes) for lanes in LANES}
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


def _front(found: Analysis, limits: Limits, lanes: int) -> int:
    """Columns of a front unit: none where the image's windows fit the block RAM or no unit can do it, else as many as
    leave the lanes their multipliers."""
    network = found.network
    conv = network.layers[found.uses.bits(network.input)[0]]
    out = network.out_tensor(conv)
    assert isinstance(conv, Conv)
    windows = 2 * INPUT_BITS * out.height * out.width * conv.weight[0].size
    if windows < WINDOW_SHARE * limits.bram18k * BLOCK_BITS:
        return 0
    front_layers(network, found.uses)
    columns = min(int(FRONT_SHARE * limits.dsp) // conv.window.kernel, out.channels, MOST_COLUMNS)
    return max(columns // lanes, 1) * lanes  # lanes are 2 at least


def _fetches(found: Analysis, whole: Shape, external: SdramSetup | None) -> Iterator[Shape]:
    """The shape with every fetch width that still carries a codebook's beats; an external memory's 16 bits a cycle
    need but the narrowest."""
    books = [layer.codebook for layer in found.network.layers if isinstance(layer, Conv)]
    needed = max((1 << book.tau for book in books if book is not None), default=0)
    fits = [n for n in FETCH_PARTS if whole.cols % n == 0 and (whole.cols // n) * whole.depth >= needed]
    for part in fits[-1:] if external is not None else fits:
        yield replace(whole, fetch=whole.cols // part)


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

    plan: Plan
    engine: EngineConfig
    classes: Mapping[int, int]

    @classmethod
    def of(cls, plan: Plan) -> _Reference:
        layout, classes = load_layout(plan.engine), {}
        for layer, load in zip(plan.layer_of_job, plan.images.loads, strict=True):
            classes[layer] = layout.unpack(load)["last_class"] + 1
        return cls(plan, plan.engine, classes)


class _References:
    """Of the largest shape, with weights on the chip and in an external memory; made when they are asked for."""

    def __init__(self, found: Analysis) -> None:
        self._found = found
        self._made: dict[bool, _Reference] = {}

    def get(self, whole: Shape, external: SdramSetup | None) -> _Reference:
        key = external is not None
        if key not in self._made:
            self._made[key] = _Reference.of(make_plan(self._found, whole, external=external))
        return self._made[key]


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
    spilled = any(place.spilled for place in schedule.places.values.values())
    if spilled:
        config = replace(config, spill=spill_config(schedule, config)[0])
    if spilled and config.front is not None and schedule.front is not None:
        place = schedule.places.values.get(schedule.front.last.post.publish.value or "")
        groups = place.stored_groups if place is not None and place.spilled else 0
        config = replace(config, front=replace(config.front, spilled=groups))
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
    moved: list[int] = []
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
        words = spilled_words(schedule, config, s) if config.spill is not None else 0
        moved += [int(BUS * words)] * s.passes
        total += LAYER_LATENCY + (JOB if words else 0)
        blocked = blocked if s.front_rows else len(work)
    if any(moved):  # weights and maps come over the same bus
        work = [max(a, b + c) for a, b, c in zip(work, [*load[1:], 0], moved, strict=True)]
    total += load[0] + sum(max(a, b) for a, b in zip(work, [*load[1:], 0], strict=True))
    return total if config.front is None else max(total, config.front.cycles + sum(work[:blocked]))


__all__ = ["choose", "spilled_need"]
