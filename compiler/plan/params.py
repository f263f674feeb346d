"""Parameter beats: lane records and border classes of every pass, in the order in which the engine loads them."""

from __future__ import annotations

from bnnhw.compiler.plan.fold import Channels
from bnnhw.compiler.plan.schedule import JobSchedule
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import lane_layout


def param_beats(config: EngineConfig, s: JobSchedule, channels: Channels) -> list[int]:
    """Beats of all passes of a layer."""
    beats: list[int] = []
    for number in range(s.passes):
        first = number * s.groups * config.lanes
        beats += _lane_beats(config, channels, first) + _class_beats(config, channels, first)
    return beats


def _lane_beats(config: EngineConfig, channels: Channels, first: int) -> list[int]:
    """A record for every column from stored position ``first``; zeros beyond the last position."""
    layout, beats = lane_layout(config), []
    fields = {
        "scale": channels.scale,
        "in_offset": channels.in_offset,
        "pos": channels.pos,
        "neg": channels.neg,
        "out_offset": channels.out_offset,
        "gate_offset": channels.gate_offset,
        "threshold": channels.threshold,
    }
    if config.post.border_width:
        fields["offset"] = channels.borders.offset
    if channels.sum_scale is not None:
        fields["sum_scale"] = channels.sum_scale
    for position in range(first, first + config.cols):
        stored = position < len(channels.scale)
        beats.append(layout.pack({name: int(x[position]) for name, x in fields.items()} if stored else {}))
    return beats


def _class_beats(config: EngineConfig, channels: Channels, first: int) -> list[int]:
    """For every class and group of columns, beats of ``entries_per_beat`` entries."""
    width, count = config.post.entry_width, config.entries_per_beat
    mask, beats = (1 << width) - 1, []
    entries = channels.borders.count if config.post.border_width else channels.offset
    for of_class in entries.T:
        for low in range(first, first + config.cols, count):
            lanes = of_class[low : min(low + count, first + config.cols)]
            beats.append(sum((int(x) & mask) << (i * width) for i, x in enumerate(lanes)))
    return beats


__all__ = ["param_beats"]
