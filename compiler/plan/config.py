"""Engine configuration: sizes of memories from the schedule, widths of numbers from the values they must hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bnnhw.compiler.plan.fold import Channels
from bnnhw.compiler.plan.groups import weight_width
from bnnhw.compiler.plan.ranges import LayerRange
from bnnhw.compiler.plan.schedule import JobSchedule, Schedule
from bnnhw.errors import UnsupportedError
from bnnhw.spec.engine import EngineConfig, PostConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.front import FrontConfig
from bnnhw.spec.network import Conv, Network, Pool
from bnnhw.spec.numbers import Bits, Codes, IntArray, signed_width, unsigned_width
from bnnhw.spec.program import lane_layout
from bnnhw.spec.sdram import SdramSetup


def unit_slope(network: Network) -> int:
    """The slope that stands for 1 at the smallest slope shift of the network; 0 if it has no two-slope function."""
    shifts = slope_shifts(network)
    return 1 << shifts[0] if shifts else 0


def slope_shifts(network: Network) -> tuple[int, ...]:
    """Distinct shifts of two-slope functions."""
    return tuple(sorted({layer.post.slope.shift for layer in network.layers if layer.post.slope is not None}))


def engine_config(
    network: Network,
    schedule: Schedule,
    ranges: Sequence[LayerRange],
    channels: Sequence[Channels],
    front: FrontConfig | None,
    external: SdramSetup | None,
) -> EngineConfig:
    """The smallest engine of this shape that runs this schedule with these parameters."""
    shape, layers = schedule.shape, schedule.jobs
    pools = [s.layer for s in layers if isinstance(s.layer, Pool)]
    ranges = [ranges[s.index] for s in layers]
    post = _post_config(network, layers, ranges, channels)
    if front is not None:
        post = replace(post, value_width=max(post.value_width, front.value_width))
    pool_bounds = [r.pool for r in ranges if r.pool is not None]
    coded = [s.layer.codebook.tau for s in layers if s.decodes and isinstance(s.layer, Conv) and s.layer.codebook]
    sums = [s for s, c in zip(layers, channels, strict=True) if c.sum_scale is not None]
    pool_width = signed_width(min(b[0] for b in pool_bounds), max(b[1] for b in pool_bounds)) if pools else 0
    modes = tuple(sorted({p.mode for p in pools}, reverse=True))
    config = EngineConfig(
        rows=shape.rows,
        cols=shape.cols,
        depth=shape.depth,
        lanes=shape.lanes,
        fetch=shape.fetch,
        popcount=shape.popcount,
        tau=max(coded, default=0),
        acc_width=max(unsigned_width(_largest_count(network, s, shape.lanes, True)) for s in layers),
        sum_width=max((unsigned_width(_largest_count(network, s, shape.lanes, False)) for s in sums), default=0),
        input=schedule.input,
        post=post,
        pool_modes=modes,
        pool_width=max(pool_width, post.value_width) if "max" in modes else pool_width,
        bit_words=max(schedule.memory.bit_words, 1),
        value_words=max(schedule.memory.value_words, 1),
        weight_words=max(s.weight_words for s in layers),
        gate_words=schedule.memory.gate_words,
        folds=tuple(sorted({pool.fold for pool in pools} - {1})),
        pool_weight_width=weight_width(network),
        steps=schedule.steps.count,
        jobs=len(layers),
        grouped=any(isinstance(s.layer, Conv) and s.layer.groups > 1 for s in layers),
        passes=max(s.passes for s in layers),
        halo_reach=schedule.places.halo_reach,
        classes=max(c.offset.shape[1] for c in channels),
        entries_per_beat=1,
        kernel=_kernel(network, schedule),
        map_size=max(max(t.height, t.width) for t in network.tensors.values()),
        decodes=len(schedule.decodes),
        scores=network.tensors[network.output].channels,
        alike=schedule.alike,
        partial=schedule.partial,
        front=front,
        external=external,
    )
    return replace(config, entries_per_beat=_entries_per_beat(config, layers, channels))


def _post_config(
    network: Network, layers: Sequence[JobSchedule], ranges: Sequence[LayerRange], channels: Sequence[Channels]
) -> PostConfig:
    codes = [s for s in layers if s.forms.codes]
    slopes = slope_shifts(network)
    sums = [c.sum_scale for c in channels if c.sum_scale is not None]

    def optional(arrays: Iterable[IntArray]) -> int:
        given = [a for a in arrays if a.any()]
        return _width(given) if given else 0

    # A lane adds products and offset modulo 2**(offset_width + 2): the total must fit, whatever its parts are.
    total = signed_width(min(r.total[0] for r in ranges), max(r.total[1] for r in ranges))
    split = [c.split for c in channels]
    gated = [r.gate for r in ranges if r.gate is not None]
    borders = [b for b in split if b is not None]
    counted = len(borders) == len(split) and any(b.count.any() for b in borders)

    return PostConfig(
        scale_width=_width(c.scale for c in channels),
        sum_scale_width=_width(sums) if sums else 0,
        offset_width=max(_width([b.offset for b in borders] if counted else [c.offset for c in channels]), total - 2),
        border_width=_width(b.count for b in borders) if counted else 0,
        pre_width=signed_width(min(r.pre[0] for r in ranges), max(r.pre[1] for r in ranges)),
        value_width=signed_width(min(r.low for r in ranges), max(r.high for r in ranges)),
        shifts=tuple(sorted({s.layer.post.affine.shift for s in layers})),
        residual=any(s.layer.post.residuals for s in layers),
        late_residual=any(residual.late for s in layers for residual in s.layer.post.residuals),
        second=any(s.layer.post.second is not None for s in layers),
        tiled=any(residual.tiled for s in layers for residual in s.layer.post.residuals),
        gate_width=signed_width(min(g[0] for g in gated), max(g[1] for g in gated)) if gated else 0,
        gate_shift=_gate_shift(layers),
        gate_offset_width=optional(c.gate_offset for c in channels),
        slope_width=_width(x for c in channels for x in (c.pos, c.neg)) if slopes else 0,
        slope_shifts=slopes,
        in_offset_width=optional(c.in_offset for c in channels),
        out_offset_width=optional(c.out_offset for c in channels),
        code_shifts=tuple(sorted({s.layer.post.publish.code_shift for s in codes})),
        code_planes=max((s.turns for s in codes), default=1),
    )


def _gate_shift(layers: Sequence[JobSchedule]) -> int:
    """The shift of all gates."""
    shifts = {s.layer.post.gate.shift: s.layer.name for s in layers if s.layer.post.gate is not None}
    if len(shifts) > 1:
        raise UnsupportedError(
            f"gates must have one shift, not {sorted(shifts)} as in layers {', '.join(shifts.values())}"
        )
    return next(iter(shifts), 0)


def _width(arrays: Iterable[IntArray]) -> int:
    """Signed width that holds every element."""
    ends = [(int(a.min()), int(a.max())) for a in arrays]
    return signed_width(min(low for low, _ in ends), max(high for _, high in ends))


def _largest_count(network: Network, schedule: JobSchedule, lanes: int, weights: bool) -> int:
    """Largest accumulated mismatch count of a layer, or (``weights`` false) largest activation sum."""
    layer = schedule.layer
    if not isinstance(layer, Conv):
        return 0
    form = network.tensors[layer.source].format
    assert isinstance(form, Bits | Codes)
    positions = layer.weight[0].size
    if schedule.decodes or (isinstance(form, Codes) and schedule.words):  # positions without a channel count too
        positions = lanes * sum(unit is not None for word in schedule.words for unit in word.units)
    count = positions * ((1 << form.planes) - 1)
    return count * ((1 << layer.weight_bits) - 1) if weights else count


def _entries_per_beat(config: EngineConfig, layers: Sequence[JobSchedule], channels: Sequence[Channels]) -> int:
    """Entries in a parameter beat: as many as fit a lane's record; in an external memory as many as make the fewest
    words of all."""
    record, width = lane_layout(config).width, config.post.entry_width
    choices = [n for n in range(1, config.lanes + 1) if config.lanes % n == 0]
    if config.external is None:
        return max(n for n in choices if n == 1 or n * width <= record)

    def words(n: int) -> int:
        beats = sum(s.passes * config.cols * (n + c.offset.shape[1]) for s, c in zip(layers, channels, strict=True))
        return beats // n * -(-max(record, n * width) // WORD)

    return min(choices, key=lambda n: (words(n), n))


def _kernel(network: Network, schedule: Schedule) -> int:
    """Window size that gives tap, stride, pad and halo fields enough bits."""
    windows = [layer.window for layer in network.layers if layer.source != network.input]
    kernel = max((w.kernel for w in windows), default=1)
    wide = [x for w in windows for x in (w.stride, w.pad)]
    wide += [x for p in schedule.places.bits.values() for x in (p.halo_low, p.halo_high)]
    while (1 << unsigned_width(max(kernel - 1, 1)) + 1) <= max(wide, default=0):
        kernel += 1
    return kernel


__all__ = ["engine_config", "slope_shifts", "unit_slope"]
