"""An engine sketched from a schedule without weights: configuration, resources and cycles, in milliseconds.

Number widths, which hardly depend on the shape, are those of one plan that is built in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnnhw.compiler.plan.build import Analysis, Plan, make_plan
from bnnhw.compiler.plan.resources import Resources, Sizes, estimate
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, make_schedule
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.spill import loaded_map, ring_groups, source_rows, spill_config, stored_map
from bnnhw.errors import UnsteadyError
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.program import POOL, load_layout, param_bits
from bnnhw.spec.sdram import BURST, SdramSetup
from bnnhw.spec.spill import row_bursts

LAYER_LATENCY = 30
"""Cycles from a layer's last step until the next layer's first, roughly."""
PASS_SWITCH = 2
BUS = 1.1
"""Cycles of the SDRAM for each word of a spilled map, in an estimate: rows are opened, reads and writes take turns."""
JOB = 600
"""Cycles from a job's begin to its first row, roughly, with those until what was stored before is in the SDRAM."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What a plan in full says about others: its engine, and the border classes of layers."""

    plan: Plan
    engine: EngineConfig
    classes: Mapping[int, int]

    @classmethod
    def of(cls, plan: Plan) -> Reference:
        layout, classes = load_layout(plan.engine), {}
        for layer, load in zip(plan.layer_of_job, plan.images.loads, strict=True):
            classes[layer] = layout.unpack(load)["last_class"] + 1
        return cls(plan, plan.engine, classes)


class References:
    """Of the largest shape whose frames come to be alike, with weights on the chip and in an external memory; made when
    they are asked for."""

    def __init__(self, found: Analysis) -> None:
        self._found = found
        self._made: dict[bool, Reference] = {}

    def get(self, shapes: Sequence[Shape], external: SdramSetup | None) -> Reference:
        """``shapes``: the largest first. Raises UnsteadyError where none of them is steady."""
        key = external is not None
        if key not in self._made:
            self._made[key] = Reference.of(self._plan(shapes, external))
        return self._made[key]

    def _plan(self, shapes: Sequence[Shape], external: SdramSetup | None) -> Plan:
        for shape in shapes[:-1]:
            try:
                return make_plan(self._found, shape, external=external)
            except UnsteadyError:
                continue
        return make_plan(self._found, shapes[-1], external=external)


def with_shape(engine: EngineConfig, shape: Shape, **changes: Any) -> EngineConfig:
    """The engine with another array, its lanes, and other changes."""
    rows, cols, depth, lanes, fetch = shape.rows, shape.cols, shape.depth, shape.lanes, shape.fetch
    return replace(engine, rows=rows, cols=cols, depth=depth, lanes=lanes, fetch=fetch, **changes)


def sketch(reference: Reference, schedule: Schedule, shape: Shape) -> tuple[EngineConfig, Sizes]:
    """The engine's configuration, with the number widths of another shape."""
    count = max(1, reference.engine.entries_per_beat)
    per_beat = max(n for n in range(1, shape.lanes + 1) if shape.lanes % n == 0 and n <= count)
    config = with_shape(
        reference.engine,
        shape,
        input=schedule.input,
        bit_words=max(schedule.memory.bit_words, 1),
        value_words=max(schedule.memory.value_words, 1),
        gate_words=schedule.memory.gate_words,
        weight_words=max(s.weight_words for s in schedule.jobs),
        steps=schedule.steps.count,
        jobs=len(schedule.jobs),
        passes=max(s.passes for s in schedule.jobs),
        decodes=len(schedule.decodes),
        halo_reach=schedule.places.halo_reach,
        alike=schedule.alike,
        partial=schedule.partial,
        entries_per_beat=per_beat,
    )
    if config.front is not None:
        groups = -(-config.front.outs // shape.lanes)
        own = replace(config.front, columns=shape.front, lanes=shape.lanes, outs=groups * shape.lanes)
        config = replace(config, front=own)
    spilled = any(place.spilled for place in schedule.places.values.values())
    if spilled:
        config = replace(config, spill=spill_config(schedule, config)[0])
    if spilled and config.front is not None:
        place = schedule.front_value
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


def _spilled_words(schedule: Schedule, config: EngineConfig, s: JobSchedule) -> int:
    """Words of 16 bits that a pass of a job loads and stores."""
    source, target = loaded_map(schedule, s), stored_map(schedule, s)
    bursts = 0
    if source is not None:
        bursts += ring_groups(schedule, s) * len(source_rows(s, source)) * row_bursts(config, source.tensor.width)
    if target is not None:
        bursts += s.groups * s.job.rows * row_bursts(config, target.tensor.width)
    return bursts * BURST


def estimated_cycles(config: EngineConfig, schedule: Schedule, shape: Shape, classes: Mapping[int, int]) -> int:
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
        work += [tiles * max(s.steps, s.vectors * s.turns) + PASS_SWITCH] * s.passes
        needed = max(_beats(config, s) + decoding, _params(config, count))
        if config.external is not None:
            words = _beats(config, s) * config.beat_bits + _params(config, count) * param_bits(config)
            needed = max(needed, words // WORD)
        load += [needed] * s.passes
        words = _spilled_words(schedule, config, s) if config.spill is not None else 0
        moved += [int(BUS * words)] * s.passes
        total += LAYER_LATENCY + (JOB if words else 0)
        blocked = blocked if s.front_rows else len(work)
    if any(moved):  # weights and maps come over the same bus
        work = [max(a, b + c) for a, b, c in zip(work, [*load[1:], 0], moved, strict=True)]
    total += load[0] + sum(max(a, b) for a, b in zip(work, [*load[1:], 0], strict=True))
    return total if config.front is None else max(total, config.front.cycles + sum(work[:blocked]))


def spilled_need(found: Analysis, plan: Plan, sdram: SdramSetup, spilled: frozenset[str]) -> Resources:
    """What the engine of a plan would need with these maps in ``sdram``, and its weights."""
    maps = frozenset(found.uses.convs)
    schedule = make_schedule(found.network, found.uses, found.orders, plan.shape, maps, spilled=spilled)
    reference = Reference.of(plan)
    return estimate(*sketch(replace(reference, engine=replace(plan.engine, external=sdram)), schedule, plan.shape))


__all__ = ["Reference", "References", "estimated_cycles", "sketch", "spilled_need"]
