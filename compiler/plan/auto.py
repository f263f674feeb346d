"""Choice of the array's shape: the engine that crowds the chip least and is fast enough, or within 5 % of the fastest.

Every shape is judged by a schedule without weights (milliseconds); number widths, which hardly depend on the shape, are
those of one plan that is built in full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bnnhw.compiler.plan.build import Analysis, Plan, make_plan
from bnnhw.compiler.plan.groups import group_cols, group_lanes, misfit
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.compiler.plan.proposals import fetches, front_columns, most_columns
from bnnhw.compiler.plan.resources import LUT_PER_PRODUCT, Resources, Sizes, check_fits, estimate
from bnnhw.compiler.plan.schedule import default_spread, make_schedule
from bnnhw.compiler.plan.shape import Limits, Shape
from bnnhw.compiler.plan.sketch import Reference, References, estimated_cycles, sketch, with_shape
from bnnhw.errors import DoesNotFitError, UnsteadyError, UnsupportedError
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.memory import BLOCK_BITS
from bnnhw.spec.sdram import SdramSetup

MOST_MACS = 8192
"""Larger arrays do not route in reasonable time."""
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
COLS = (4, 8, 16, 32)
DEPTHS = (8, 16, 24, 32, 48, 64, 80, 96, 128)
LANES = (2, 4, 8, 16, 32)
SLACK = 1.05
FINAL_TRIES = 6
SPILLED_TRIES = 2
"""Exact cycles of an engine that spills take many seconds."""
ALIKE = 0.01
"""Shapes whose crowding differs by less are alike: the fastest of them is taken ..."""
CROWDED = 1.0
"""... but on a chip as crowded as this the one with the narrowest weight beats, whose wires go to all columns."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A shape that fits, with its estimated cycles and resources. ``external``: where its weights lie; ``spilled``:
    maps that lie there, too."""

    shape: Shape
    spread: frozenset[str]
    cycles: int
    need: Resources
    external: SdramSetup | None
    spilled: frozenset[str]

    def plan(self, found: Analysis) -> Plan:
        """The plan in full."""
        return make_plan(found, self.shape, self.spread, self.external, spilled=self.spilled)


def choose(
    found: Analysis,
    limits: Limits,
    enough: int = 0,
    external: SdramSetup | None = None,
    sdram: SdramSetup | None = None,
) -> Plan:
    """The best plan for a chip; frames of ``enough`` cycles are fast enough. ``external``: where weights lie;
    ``sdram``: what takes maps of values that do not fit the chip, if there is one. Then weights come from it, too.

    Raises DoesNotFitError naming what the smallest engine lacks; UnsteadyError where none of the best is steady.
    """
    candidates, smallest = _candidates(found, limits, enough, external, sdram)
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
        try:
            plan = candidate.plan(found)
        except UnsteadyError:
            continue  # others may be steady
        need = estimate(plan.engine, Sizes.of(plan.images))
        if need.over(limits) is None:
            plans.append(plan)
            if plan.cost.frame <= enough:
                return plan
    if not plans:
        plan = near[0].plan(found)
        check_fits(found.network.name, plan.engine, estimate(plan.engine, Sizes.of(plan.images)), limits)
    most = max(enough, SLACK * min(p.cost.frame for p in plans))
    return next(p for p in plans if p.cost.frame <= most)


def _candidates(
    found: Analysis, limits: Limits, enough: int, external: SdramSetup | None, sdram: SdramSetup | None
) -> tuple[list[Candidate], tuple[EngineConfig, Resources] | None]:
    """All shapes that fit and can be among the best, with as little in ``sdram`` as it takes or as long as more there
    makes them faster; and the engine that came nearest to fitting."""
    smallest: tuple[EngineConfig, Resources] | None = None
    for fronts in _fronts(found, limits):
        references, candidates, fastest = References(found), list[Candidate](), float("inf")
        for source, spilled in _places(found, external, sdram, any(fronts.values())):
            more, nearest = _search(
                found, limits, enough, source, references, fronts, spilled, fastest, spills=sdram is not None
            )
            candidates += more
            smallest = nearest or smallest
            least = min((c.cycles for c in more), default=float("inf"))
            if candidates and (least >= fastest or (source is external and not spilled)):
                break
            fastest = min(fastest, least)
        if candidates:
            return candidates, smallest
    return [], smallest


def _places(
    found: Analysis, external: SdramSetup | None, sdram: SdramSetup | None, front: bool
) -> Iterator[tuple[SdramSetup | None, frozenset[str]]]:
    """Where weights and parameters may lie and which maps are spilled, what leaves most on the chip first."""
    yield external, frozenset()
    if sdram is not None:
        if external is None:
            yield sdram, frozenset()
        for spilled in spill_levels(found.network, found.uses, front):
            yield sdram, spilled


def _search(
    found: Analysis,
    limits: Limits,
    enough: int,
    external: SdramSetup | None,
    references: References,
    fronts: Mapping[int, int],
    spilled: frozenset[str],
    fastest: float,
    spills: bool,
) -> tuple[list[Candidate], tuple[EngineConfig, Resources] | None]:
    """All shapes that fit and can be among the best, and the engine that comes nearest to fitting.

    ``fronts``: columns of the front unit by lanes; ``spilled``: maps in the SDRAM; ``fastest``: cycles of the fastest
    candidate so far; ``spills``: large maps may be spilled.
    """
    candidates: list[Candidate] = []
    maps = frozenset(found.uses.convs) - {found.network.input}
    nearest: tuple[float, EngineConfig, Resources] | None = None
    shapes = list(_shapes(found, limits, fronts))
    if not shapes:
        return [], None
    reference = references.get(shapes, external)
    if not spills:
        _check_maps(reference.plan, limits)
    over = _values_over(found, reference, min(shapes, key=lambda s: (s.lanes, s.cols)), spilled, limits)
    if over is not None:
        return [], over
    for whole in shapes:
        if _ideal(found, whole) > max(enough, SLACK * fastest):
            continue
        if (candidates or spilled) and _hopeless(reference, whole, limits):
            continue
        for spread in dict.fromkeys((default_spread(found.network, found.uses, found.orders, whole), maps)):
            schedule = make_schedule(found.network, found.uses, found.orders, whole, spread, spilled=spilled)
            for shape in fetches(found, whole, external):
                config, sizes = sketch(reference, schedule, shape)
                need = estimate(config, sizes)
                excess = need.over(limits)
                if excess is None:
                    cycles = estimated_cycles(config, schedule, shape, reference.classes)
                    fastest = min(fastest, cycles)
                    candidates.append(Candidate(shape, spread, cycles, need, external, spilled))
                elif nearest is None or excess[1] / max(excess[2], 1) < nearest[0]:
                    nearest = excess[1] / max(excess[2], 1), config, need
            if candidates and candidates[-1].shape == whole:
                break  # it fits with more memory as well as it can
    return candidates, None if nearest is None else nearest[1:]


def _values_over(
    found: Analysis, reference: Reference, least: Shape, spilled: frozenset[str], limits: Limits
) -> tuple[EngineConfig, Resources] | None:
    """What the shape whose words leave the least room unused needs, if the values alone fill more than the chip."""
    spread = default_spread(found.network, found.uses, found.orders, least)
    schedule = make_schedule(found.network, found.uses, found.orders, least, spread, spilled=spilled)
    if schedule.memory.value_words * least.lanes * reference.engine.post.value_width <= limits.bram18k * BLOCK_BITS:
        return None
    config, sizes = sketch(reference, schedule, least)
    return config, estimate(config, sizes)


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


def _fronts(found: Analysis, limits: Limits) -> Iterator[Mapping[int, int]]:
    """Columns of the front unit by lanes: with one where the image needs it; else without, and if nothing fits with
    one, which leaves the array's steps shorter."""
    widths = group_lanes(found.network, LANES)
    needed = {lanes: front_columns(found, limits, lanes) for lanes in widths}
    yield needed
    if not any(needed.values()):
        with contextlib.suppress(UnsupportedError):
            yield {lanes: most_columns(found, limits, lanes) for lanes in widths}


def _shapes(found: Analysis, limits: Limits, fronts: Mapping[int, int]) -> Iterator[Shape]:
    """Shapes worth a look, the largest array first; fetch = cols."""
    network = found.network
    channels = network.tensors[network.input].channels
    widest = max(network.out_tensor(layer).width for layer in network.layers)
    most = max(network.out_tensor(layer).channels for layer in network.layers)
    shapes = [
        Shape(rows, cols, depth, lanes, cols, fronts[lanes])
        for rows in ROWS
        for lanes in fronts
        for cols in group_cols(network, COLS, lanes)
        for depth in sorted({max(lanes, depth // lanes * lanes) for depth in DEPTHS})
        if depth >= channels
        if misfit(network, Shape(rows, cols, depth, lanes, cols)) is None
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


def _hopeless(reference: Reference, shape: Shape, limits: Limits) -> bool:
    """Whether array and lanes alone need more LUT4s or multipliers than there are."""
    config = with_shape(reference.engine, shape, bit_words=1, value_words=1, weight_words=1)
    need = estimate(config, Sizes(1, 1))
    return need.lut4 > limits.lut4 or need.dsp > limits.dsp


__all__ = ["choose"]
