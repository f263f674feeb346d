"""Spilled maps: where they lie in the SDRAM, the rings on the chip, and what is moved for each job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bnnhw.compiler.plan.places import Places, ValuePlace
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, filled_passes
from bnnhw.spec.engine import EngineConfig, SpillConfig
from bnnhw.spec.external import MAP_ALIGN
from bnnhw.spec.front import FrontStore
from bnnhw.spec.network import Pool, Residual, Window
from bnnhw.spec.program import POOL
from bnnhw.spec.spill import row_bursts, spill_layout

RING_ROWS = 4
"""Rows of a job that a ring holds, at least: while some are moved others are at work."""


def spills(schedule: Schedule, s: JobSchedule) -> bool:
    """Whether a job loads or stores rows."""
    return loaded_map(schedule, s) is not None or stored_map(schedule, s) is not None


def loaded_map(schedule: Schedule, s: JobSchedule) -> ValuePlace | None:
    """The spilled map whose rows a job loads: the source that it pools, or a residual (`ordered` has it first)."""
    residuals = ordered(schedule, s)
    name = s.layer.source if s.kind == POOL else residuals[0].tensor if residuals else ""
    place = schedule.places.values.get(name)
    return place if place is not None and place.spilled else None


def ordered(schedule: Schedule, s: JobSchedule) -> list[Residual]:
    """A layer's residuals, spilled ones first, of two of them the one with more passes."""
    places = schedule.places.values
    return sorted(
        s.layer.post.residuals, key=lambda r: (not places[r.tensor].spilled, -_last_pass(s, r, places[r.tensor]))
    )


def _last_pass(s: JobSchedule, residual: Residual, place: ValuePlace) -> int:
    """The last pass that adds a residual."""
    return (s.passes if residual.tiled else min(s.passes, -(-place.stored_groups // s.groups))) - 1


def _tile(s: JobSchedule, residual: Residual, place: ValuePlace) -> int:
    """Passes until the rows of a residual are loaded again; 0 where they are not."""
    passes = place.stored_groups // s.groups
    return passes if residual.tiled and passes < s.passes else 0


def second_map(schedule: Schedule, s: JobSchedule) -> ValuePlace | None:
    """The second spilled residual of a job, loaded in turns with the first."""
    places = [schedule.places.values[residual.tensor] for residual in ordered(schedule, s)[1:]]
    return next((place for place in places if place.spilled), None)


def stored_map(schedule: Schedule, s: JobSchedule) -> ValuePlace | None:
    """The spilled map that a job stores."""
    place = schedule.places.values.get(s.forms.value or "")
    return place if place is not None and place.spilled else None


def loaded_groups(s: JobSchedule) -> int:
    """Channel groups of a pass's loaded rows of one map."""
    return s.layer.fold if isinstance(s.layer, Pool) else s.groups


def ring_groups(schedule: Schedule, s: JobSchedule) -> int:
    """Channel groups of a pass's loaded rows of all maps."""
    return loaded_groups(s) * (1 if second_map(schedule, s) is None else 2)


def on_chip(place: ValuePlace, groups: int) -> ValuePlace:
    """A spilled map as its rows lie in a ring, for a job with so many channel groups in a pass."""
    return replace(place, stored_groups=groups, base=0)


def source_rows(s: JobSchedule, place: ValuePlace) -> range:
    """Rows of the map that a job loads for each pass, the first of them and beyond the last."""
    if s.kind == POOL:
        return s.job.source_rows(s.layer.window, place.tensor.height, whole=False)
    residual = next(r for r in s.layer.post.residuals if r.tensor == place.tensor.name)
    first = s.job.first * residual.stride
    return range(first, first + s.job.rows * residual.stride, residual.stride)


def spillable(window: Window) -> bool:
    """Whether a pooled source may be spilled: what a row reads first lies not far before what the next one does."""
    return window.pad <= window.stride


def needs(s: JobSchedule, place: ValuePlace) -> tuple[int, int, int]:
    """Loaded rows that a pass's first row needs, that each following one needs beyond those, and that it shares with
    the next."""
    if s.kind != POOL:
        return 1, 1, 0
    window = s.layer.window
    above = max(window.pad - s.job.first * window.stride, 0)
    first = min(window.kernel - above, len(source_rows(s, place)))
    return first, window.stride, max(window.kernel - window.stride, 0)


def spill_config(schedule: Schedule, config: EngineConfig) -> tuple[SpillConfig, Mapping[str, int]]:
    """Sizes of rings and of the region of the SDRAM, and the first burst of every spilled map in that region."""
    load_words = store_words = 2
    jobs, second, tiled = 0, False, False
    for s in schedule.jobs:
        source, target = loaded_map(schedule, s), stored_map(schedule, s)
        jobs += spills(schedule, s)
        if source is not None:
            first, step, lag = needs(s, source)
            rows = max(RING_ROWS, first + step, 2 * step + lag)
            load_words = max(load_words, rows * on_chip(source, ring_groups(schedule, s)).row)
            second = second or second_map(schedule, s) is not None
            places = [(r, schedule.places.values[r.tensor]) for r in s.layer.post.residuals]
            tiled = tiled or any(place.spilled and _tile(s, r, place) for r, place in places)
        if target is not None:
            store_words = max(store_words, RING_ROWS * on_chip(target, s.groups).row)
    bases, bursts, front_words = dict[str, int](), 0, 0
    front = schedule.front_value
    for name, place in schedule.places.values.items():
        if place.spilled:
            bases[name] = bursts
            size = _region(config, place)
            bursts += 2 * size if place is front else size
            front_words = _power(2 * place.row) if place is front else front_words
    assert config.external is not None
    bits = config.external.part.burst_bits
    rings = _power(load_words), _power(store_words), front_words
    return SpillConfig(*rings, bursts, bits, jobs, second, tiled), bases


def _power(words: int) -> int:
    return 1 << max(1, (words - 1).bit_length())


def map_bursts(config: EngineConfig, place: ValuePlace) -> int:
    """Bursts of a spilled map."""
    return place.stored_groups * place.tensor.height * row_bursts(config, place.tensor.width)


def _region(config: EngineConfig, place: ValuePlace) -> int:
    """Bursts kept for a spilled map; whole rows of all banks, so that maps begin in the same bank."""
    return -(-map_bursts(config, place) // MAP_ALIGN) * MAP_ALIGN


def with_bursts(places: Places, bases: Mapping[str, int], first: int) -> Places:
    """The same maps, the spilled ones at their bursts."""
    values = {
        name: replace(place, base=first + bases[name]) if place.spilled else place
        for name, place in places.values.items()
    }
    return replace(places, values=values)


def front_store(schedule: Schedule, config: EngineConfig) -> FrontStore | None:
    """The front unit's map, if it is spilled; ``schedule`` with the bursts of spilled maps."""
    place = schedule.front_value
    if place is None or config.front is None or not config.front.spilled:
        return None
    return FrontStore(
        base=place.base,
        size=_region(config, place),
        groups=place.stored_groups,
        width=place.tensor.width,
        height=place.tensor.height,
        row=row_bursts(config, place.tensor.width),
    )


def spill_words(schedule: Schedule, config: EngineConfig) -> tuple[int, ...]:
    """What is moved for each job that loads or stores; ``schedule`` with the bursts of spilled maps."""
    if config.spill is None:
        return ()
    layout = spill_layout(config)
    return tuple(layout.pack(_fields(schedule, config, s)) for s in schedule.jobs if spills(schedule, s))


def _fields(schedule: Schedule, config: EngineConfig, s: JobSchedule) -> dict[str, int]:
    assert config.spill is not None
    source, target = loaded_map(schedule, s), stored_map(schedule, s)
    fields = {"last_pass": s.passes - 1, "last_y": s.job.rows - 1, "last_sub": s.groups - 1}
    if source is not None:
        burst = row_bursts(config, source.tensor.width)
        groups = loaded_groups(s)
        rows, words = source_rows(s, source), on_chip(source, ring_groups(schedule, s)).row
        first, step, lag = needs(s, source)
        group = source.tensor.height * burst
        fields |= {
            "load": 1,
            "load_front": source is schedule.front_value,
            "load_last_sub": groups - 1,
            "load_last_row": len(rows) - 1,
            "load_last_x": source.tensor.width - 1,
            "load_last_burst": burst - 1,
            "load_dpass": groups * group,
            "load_dy": rows.step * burst,
            "load_dsub": group,
            "load_words": words,
            "load_room": config.spill.load_words // words,
            "need_first": first,
            "need_step": step,
            "lag": lag,
        }
        if s.kind == POOL:
            base = source.base + rows.start * burst
            fields |= {"load_last_pass": filled_passes(schedule, s) - 1, "load_base": base}
        for residual, name in zip(ordered(schedule, s), ("load", "second"), strict=False):
            place = schedule.places.values[residual.tensor]
            if place.spilled:
                fields |= {
                    name: 1,
                    f"{name}_last_pass": _last_pass(s, residual, place),
                    f"{name}_tile": _tile(s, residual, place),
                    f"{name}_base": place.base + rows.start * burst,
                }
    if target is not None:
        burst, words = row_bursts(config, target.tensor.width), on_chip(target, s.groups).row
        group = target.tensor.height * burst
        fields |= {
            "store": 1,
            "store_last_burst": burst - 1,
            "store_base": target.base + s.job.first * burst,
            "store_dpass": s.groups * group,
            "store_dy": burst,
            "store_dsub": group,
            "store_words": words,
            "store_room": config.spill.store_words // words,
        }
    return fields


__all__ = [
    "front_store",
    "loaded_groups",
    "loaded_map",
    "map_bursts",
    "on_chip",
    "ordered",
    "ring_groups",
    "second_map",
    "source_rows",
    "spill_config",
    "spill_words",
    "spillable",
    "spills",
    "stored_map",
    "with_bursts",
]
