"""Job, load, step and decode words: field values from the schedule, packed by the layouts of spec.program."""

from __future__ import annotations

from bnnhw.compiler.plan.fold import Channels
from bnnhw.compiler.plan.places import BitPlace
from bnnhw.compiler.plan.ranges import LayerRange
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule, filled_passes, read_groups
from bnnhw.compiler.plan.spill import (
    loaded_groups,
    loaded_map,
    on_chip,
    ordered,
    ring_groups,
    second_map,
    source_rows,
    spills,
    stored_map,
)
from bnnhw.compiler.plan.uses import borders
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.layout import WordLayout
from bnnhw.spec.network import BorderAxis, Network, Pool, Residual
from bnnhw.spec.program import CONV_INPUT, POOL, Widths, decode_layout, load_layout, step_layout

Fields = dict[str, int]


def job_word(
    network: Network,
    config: EngineConfig,
    schedule: Schedule,
    s: JobSchedule,
    limits: LayerRange,
    channels: Channels,
) -> int:
    """Descriptor of a job."""
    fields = _walk(network, config, schedule, s) | _border(network, s, channels) | _numbers(config, s, limits)
    fields |= _source(schedule, s) | _outputs(config, schedule, s)
    fields |= {
        "final": s is schedule.jobs[-1],
        "last_pass": s.passes - 1,
        "last_filled": filled_passes(schedule, s) - 1,
        "last_plane": s.turns - 1,
        "groups": s.groups,
        "drain": s.vectors * s.turns - 1,
    }
    if config.front is not None:
        fields["front_rows"] = s.front_rows
        fields["pace"] = fields["drain"] + config.front.gap(fields["drain"] + 1)
    if config.spill is not None:
        fields |= _rings(config, schedule, s, fields)
    layout = job_layout(config)
    return layout.pack(_wrap(layout, fields))


def _rings(config: EngineConfig, schedule: Schedule, s: JobSchedule, fields: Fields) -> Fields:
    """What is different in an engine that spills maps: which of a job's maps are in rings, and where in them. Rows of a
    pass lie in a ring behind those of the pass before."""
    assert config.spill is not None
    rings: Fields = {"spill": spills(schedule, s), "res_dpass": s.groups, "val_dpass": s.groups}
    if config.spill.second:
        rings["sec_dpass"] = s.groups
    source, target = loaded_map(schedule, s), stored_map(schedule, s)
    if source is not None and s.kind == POOL:
        place, rows, window = on_chip(source, loaded_groups(s)), source_rows(s, source), s.layer.window
        above = rows.start - (s.job.first * window.stride - window.pad)
        rings |= {
            "src_ring": 1,
            "base": -above * place.row - window.pad * place.cell,
            "d_lx": window.stride * place.cell,
            "d_y": window.stride * place.row,
            "d_r": s.strip * window.stride * place.cell,
            "d_pass": len(rows) * place.row,
        }
    elif source is not None:
        place, stride = on_chip(source, ring_groups(schedule, s)), fields["res_dx"] // source.cell
        loaded = ("res",) if second_map(schedule, s) is None else ("res", "sec")
        for order, at in enumerate(loaded):
            rings |= {
                f"{at}_ring": 1,
                f"{at}_base": order * s.groups,
                f"{at}_dx": stride * place.cell,
                f"{at}_dr": s.strip * stride * place.cell,
                f"{at}_dy": place.row,
                f"{at}_dpass": s.job.rows * place.row,
            }
            if f"{at}_tile" in fields:  # rows that are repeated are loaded again
                rings[f"{at}_tile"] = s.passes - 1
    if target is not None:
        place = on_chip(target, s.groups)
        rings |= {
            "val_ring": 1,
            "val_base": 0,
            "val_dx": place.cell,
            "val_dr": s.strip * place.cell,
            "val_dy": place.row,
            "val_dpass": s.job.rows * place.row,
        }
    return rings


ADDRESSES = (
    "base",
    "d_lx",
    "d_y",
    "d_r",
    "d_pass",
    "res_d",
    "res_base",
    "sec_d",
    "sec_base",
    "val_",
    "bit_base",
    "bit_d",
)
"""Fields that wrap at their width."""


def _wrap(layout: WordLayout, fields: Fields) -> Fields:
    """Addresses and address steps modulo their memory's address width; others unchanged."""
    sizes = {f.name: f.width for f in layout.fields}
    return {n: v & ((1 << sizes[n]) - 1) if n.startswith(ADDRESSES) else v for n, v in fields.items()}


def _walk(network: Network, config: EngineConfig, schedule: Schedule, s: JobSchedule) -> Fields:
    """Positions, steps and geometry of the source."""
    source, out, window = network.tensors[s.layer.source], network.out_tensor(s.layer), s.layer.window
    fields = {
        "kind": s.kind,
        "step_first": s.step_first,
        "step_last": s.step_first + s.steps - 1,
        "last_y": s.job.rows - 1,
        "last_lx": s.strip - 1,
        "last_r": s.strips - 1,
        "out_width": out.width,
        "strip": s.strip,
    }
    if isinstance(s.layer, Pool):
        fields |= {"pool_max": s.layer.mode == "max", "weighted": s.layer.weight is not None}
        fields["fold"] = 0 if s.layer.fold == 1 else config.folds.index(s.layer.fold) + 1
    if s.kind == CONV_INPUT:
        words = schedule.input.chunks * schedule.input.groups
        return fields | {"d_lx": words, "d_y": words * schedule.input.strip}
    places = schedule.places
    place = places.values[source.name] if s.kind == POOL else places.bits[source.name]
    return fields | {
        "d_lx": window.stride * place.cell,
        "d_y": window.stride * place.row,
        "d_r": s.strip * window.stride * place.cell if s.kind == POOL else 0,
        "stride": window.stride,
        "pad": window.pad,
        "in_height": source.height,
        "in_width": source.width,
        "in_strip": s.strip * window.stride,
    }


def _border(network: Network, s: JobSchedule, channels: Channels) -> Fields:
    """Border classes; one class where the offsets do not depend on the position."""
    if channels.offset.shape[1] == 1:
        whole = network.out_tensor(s.layer)
        return _axis("y", BorderAxis(whole.height, 0, 0)) | _axis("x", BorderAxis(whole.width, 0, 0)) | {"x_count": 1}
    y, x = borders(network, s.layer)
    return _axis("y", y) | _axis("x", x) | {"x_count": x.count}


def _axis(name: str, axis: BorderAxis) -> Fields:
    """Bounds of the border classes."""
    return {f"{name}_{bound}": value for bound, value in zip(("low", "high", "inner"), axis.bounds(), strict=True)}


def _numbers(config: EngineConfig, s: JobSchedule, limits: LayerRange) -> Fields:
    """Selections of shifts, and the clamp."""
    post, have = s.layer.post, config.post
    return {
        "shift": have.shifts.index(post.affine.shift),
        "slope_shift": have.slope_shifts.index(post.slope.shift) if post.slope is not None else 0,
        "code_shift": have.code_shifts.index(post.publish.code_shift) if s.forms.codes else 0,
        "low": limits.low,
        "high": limits.high,
    }


def _source(schedule: Schedule, s: JobSchedule) -> Fields:
    """Source word of position 0, tap (0, 0), in the first pass; a pool pass reads one channel group of its source."""
    if s.kind == CONV_INPUT:
        return {"base": 0}
    pad = s.layer.window.pad
    if isinstance(s.layer, Pool):
        value = schedule.places.values[s.layer.source]
        first = value.base + s.job.first * s.layer.window.stride * value.row
        return {"base": first - pad * (value.row + value.cell), "d_pass": s.layer.fold}
    bits = schedule.places.bits[s.layer.source]  # whole, or the very band that the job reads
    fields = {"base": bits.base + bits.halo_low * bits.cell - pad * (bits.row + bits.cell)}
    if s.layer.groups > 1:
        step = bits.group_offset(read_groups(s.layer, bits))
        fields |= {"d_pass": step, "repeat": s.passes // s.layer.groups - 1}
    return fields


def _outputs(config: EngineConfig, schedule: Schedule, s: JobSchedule) -> Fields:
    """Residual, value, score and activation addresses of the first pass."""
    fields: Fields = {"score": s.forms.score}
    for residual, name, at in zip(ordered(schedule, s), ("residual", "second"), ("res", "sec"), strict=False):
        fields |= _residual(schedule, s, residual, name, at)
        if config.post.tiled:
            words = schedule.places.values[residual.tensor].stored_groups
            fields[f"{at}_tile"] = (words // s.groups if residual.tiled else s.passes) - 1
    if s.layer.post.gate is not None:
        fields |= {"gate": 1, "gate_base": schedule.places.gates[s.layer.post.gate.tensor].base}
    if s.forms.gate is not None:
        fields |= {"value": 1, "val_gate": 1, "val_base": schedule.places.gates[s.forms.gate].base}
    if s.forms.value is not None:
        value = schedule.places.values[s.forms.value]
        fields |= {
            "value": 1,
            "val_base": value.base + s.job.first * value.row,
            "val_dx": value.cell,
            "val_dr": s.strip * value.cell,
            "val_dy": value.row,
        }
    if s.forms.bits is not None:
        fields |= _bit_outputs(schedule.places.bits[s.forms.bits], s)
    return fields


def _residual(schedule: Schedule, s: JobSchedule, residual: Residual, name: str, at: str) -> Fields:
    """Where the first or the second residual lies."""
    value, stride = schedule.places.values[residual.tensor], residual.stride
    passes = -(-value.stored_groups // s.groups)
    return {
        name: 1,
        "late": residual.late,
        f"last_{name}": s.passes - 1 if residual.tiled else min(s.passes, passes) - 1,
        f"{at}_base": value.base + s.job.first * stride * value.row,
        f"{at}_dx": stride * value.cell,
        f"{at}_dr": s.strip * stride * value.cell,
        f"{at}_dy": stride * value.row,
    }


def _bit_outputs(place: BitPlace, s: JobSchedule) -> Fields:
    quotient, rest = divmod(s.strip, place.strip) if s.strips > 1 else (0, 0)
    words, slots = divmod(s.groups, place.slots) if place.spread else (s.groups, 0)
    return {
        "bits": 1,
        "codes": s.forms.codes,
        "bit_base": place.base + place.first_word(s.job.first) + place.halo_low * place.cell,
        "bit_dx": place.cell,
        "bit_dy": place.row,
        "bit_dplane": place.q if s.forms.codes else 0,
        "bit_dpass": words,
        "bit_strip": place.strip,
        "bit_dstrip": place.strip * place.cell,
        "bit_q": quotient,
        "bit_rem": rest,
        "bit_drem": rest * place.cell,
        "halo_low": place.halo_low,
        "halo_high": place.halo_high,
        "spread": place.spread,
        "slot_dpass": slots,
    }


def load_word(config: EngineConfig, s: JobSchedule, channels: Channels) -> int:
    """Load word of a layer's job."""
    fields = {"last_pass": s.passes - 1, "last_class": channels.offset.shape[1] - 1}
    if s.weight_words:
        fields |= {"weights": 1, "last_word": s.weight_words - 1}
    if s.decodes:
        fields |= {"codebook": 1, "decode": s.decode_first}
    return load_layout(config).pack(fields)


def step_words(config: EngineConfig, schedule: Schedule) -> list[int]:
    """The step memory."""
    layout, words, mask = step_layout(config), [], (1 << Widths.of(config).source) - 1
    for step in schedule.steps.steps():
        assert not config.alike or step.alike
        assert not config.alike or config.partial or all(read.enabled for read in step.reads)
        fields: Fields = {"shift": step.shift, "weight": step.weight, "part": step.part}
        fields |= {f"en{slot}": read.enabled for slot, read in enumerate(step.reads[: config.enables])}
        for slot, read in enumerate(step.reads[: config.reads]):
            own = {"dy": read.dy, "dx": read.dx, "offset": read.offset & mask}
            fields |= {f"{name}{slot}": value for name, value in own.items()}
        words.append(layout.pack(fields))
    return words


def decode_words(config: EngineConfig, schedule: Schedule) -> list[int]:
    """The decode memory of codebook passes."""
    layout, words = decode_layout(config), []
    for decode in schedule.decodes:
        used = {slot: unit for slot, unit in enumerate(decode.units) if unit is not None}
        if config.alike:
            assert {group - slot for slot, (_, group) in used.items()} == {0}
            assert len({tap for tap, _ in used.values()}) == 1
            assert config.partial or len(used) == config.slots
        fields: Fields = {"load": decode.load}
        for slot, (tap, group) in used.items():
            fields[f"tap{0 if config.alike else slot}"] = tap
            if not config.alike:
                fields[f"group{slot}"] = group
            if config.partial or not config.alike:
                fields[f"en{slot}"] = 1
        words.append(layout.pack(fields))
    return words


__all__ = ["decode_words", "job_word", "load_word", "step_words"]
