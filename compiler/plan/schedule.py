"""Schedule: how each layer is cut into passes and steps, before any number is packed. Cheap: no weights are touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from bnnhw.compiler.plan.bands import Bands, Job, JobOrder, bandable, fewest_bands
from bnnhw.compiler.plan.front import FrontLayers, front_layers
from bnnhw.compiler.plan.memory import MemoryPlan, place_all
from bnnhw.compiler.plan.orders import Orders
from bnnhw.compiler.plan.places import BitPlace, Places, ValuePlace, make_places, replication_gain
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.steps import StepTable, Word, add_conv, add_input, add_pool, input_words, pack_units
from bnnhw.compiler.plan.uses import Stored, Uses, stored
from bnnhw.compiler.plan.weights import Decode, decodes_of, uses_codebook
from bnnhw.errors import DoesNotFitError
from bnnhw.spec.engine import InputConfig
from bnnhw.spec.memory import BRAM_SHAPES, column_width
from bnnhw.spec.network import Conv, Layer, Network, Pool
from bnnhw.spec.numbers import Codes
from bnnhw.spec.program import CONV_BITS, CONV_INPUT, POOL


@dataclass(frozen=True, eq=False)
class JobSchedule:
    """One job, a layer or a band of its rows: ``passes`` passes of ``groups`` channel groups, of the same steps."""

    layer: Layer
    job: Job
    kind: int
    forms: Stored
    step_first: int
    steps: int
    words: tuple[Word, ...]
    weight_words: int
    """Words of all weight planes, or of a weighted window; 0 without weights."""
    decodes: tuple[Decode, ...]
    """Of a codebook layer; else empty."""
    decode_first: int
    passes: int
    groups: int
    strip: int
    """Output columns of an array row."""
    strips: int
    """Array rows in use."""
    turns: int
    """Vectors of each channel group of a pixel: one a bit plane, or one a residual."""
    front_rows: int
    """Rows of the next frame's first map that may be stored from this job on; 0 without a front unit."""

    @property
    def index(self) -> int:
        """Of the layer in the network."""
        return self.job.layer

    @property
    def vectors(self) -> int:
        """Channel groups of pixels in a tile: vectors, if each has one turn."""
        return 1 if self.kind == POOL else self.strips * self.groups


@dataclass(frozen=True, eq=False)
class Schedule:
    """All jobs, tables shared by them, and the maps at their addresses."""

    shape: Shape
    memory: MemoryPlan
    input: InputConfig
    front: FrontLayers | None
    order: JobOrder
    jobs: tuple[JobSchedule, ...]
    steps: StepTable
    decodes: tuple[Decode, ...]

    @property
    def places(self) -> Places:
        return self.memory.places

    @property
    def front_value(self) -> ValuePlace | None:
        """The front unit's map of values, if there is one."""
        name = None if self.front is None else self.front.last.post.publish.value
        return self.places.values.get(name or "")

    @property
    def alike(self) -> bool:
        """In every step all slots that read do so of the same tap at the same offset. (The image's windows are read
        slot by slot.)"""
        return self.front is not None and all(place.slots == 1 or place.spread for place in self.places.bits.values())

    @property
    def partial(self) -> bool:
        """Not all slots read in every step, although they are alike."""
        return self.alike and any(place.groups % place.slots for place in self.places.bits.values())


def make_schedule(
    network: Network,
    uses: Uses,
    orders: Orders,
    shape: Shape,
    spread: frozenset[str],
    bands: Bands | None = None,
    spilled: frozenset[str] = frozenset(),
) -> Schedule:
    """The schedule of a network on a shape; ``bands``: unless given those that need the fewest block RAMs; ``spilled``:
    maps of values that lie in the SDRAM.

    Raises DoesNotFitError if a pixel of the input is deeper than the array.
    """
    front = front_layers(network, uses) if shape.front else None
    last, taken = (None, ()) if front is None else (front.last, front.indices)

    @cache
    def placed(order: JobOrder) -> MemoryPlan:
        places = make_places(network, uses, orders, shape, spread, order, frozenset(taken[:-1]), spilled)
        return place_all(network, uses, places, order, last)

    def rams(order: JobOrder) -> float:
        found = placed(order)
        bits = shape.rows * shape.depth / column_width(found.bit_words)
        return bits + found.value_words * shape.lanes / BRAM_SHAPES[-1][1]

    if bands is None:
        order = fewest_bands(network, bandable(network, uses), taken, rams)
    else:
        order = JobOrder(network, bands, taken)
    memory = placed(order)
    config = input_config(network, uses, shape)
    table, decodes = StepTable(), DecodeTable()
    jobs = [
        _job(network, uses, orders, job, shape, memory.places, config, table, decodes, free)
        for job, free in zip(order.jobs, memory.front_rows, strict=True)
    ]
    return Schedule(shape, memory, config, front, order, tuple(jobs), table, tuple(decodes.words))


def default_spread(network: Network, uses: Uses, orders: Orders, shape: Shape) -> frozenset[str]:
    """Maps that lose nothing when each group is kept in one slot only."""
    names = [n for n in uses.convs if n != network.input]
    return frozenset(n for n in names if replication_gain(network, uses, orders, n, shape) == 0)


def input_config(network: Network, uses: Uses, shape: Shape) -> InputConfig:
    """How images become input windows."""
    tensor, layer = network.tensors[network.input], network.layers[uses.bits(network.input)[0]]
    out = network.out_tensor(layer)
    if tensor.channels > shape.depth:
        raise DoesNotFitError(
            f"depth of the array must be at least the {tensor.channels} channels of input {tensor.name}, "
            f"not {shape.depth}"
        )
    taps = layer.window.kernel**2
    most = max(c.weight_bits for c in network.layers if isinstance(c, Conv) and c.source == network.input)
    parts = min(shape.depth // (taps * tensor.channels), shape.slots, most, InputConfig.planes)
    return InputConfig(
        height=tensor.height,
        width=tensor.width,
        channels=tensor.channels,
        kernel=layer.window.kernel,
        stride=layer.window.stride,
        pad=layer.window.pad,
        out_height=out.height,
        out_width=out.width,
        strip=-(-out.width // shape.rows),
        chunk_taps=min(shape.depth // tensor.channels, taps),
        parts=max(parts, 1),
    )


def read_groups(layer: Conv, place: BitPlace) -> int:
    """Channel groups of the source that a pass reads: all, or those of its group of the convolution."""
    return place.groups if layer.groups == 1 else place.groups // layer.groups


class DecodeTable:
    """All distinct lists of decode words; a list that occurs inside another is not stored again."""

    def __init__(self) -> None:
        self.words: list[Decode] = []

    def add(self, decodes: tuple[Decode, ...]) -> int:
        """Index of the first word of this list."""
        for first in range(len(self.words) - len(decodes) + 1):
            if tuple(self.words[first : first + len(decodes)]) == decodes:
                return first
        self.words += decodes
        return len(self.words) - len(decodes)


def _job(
    network: Network,
    uses: Uses,
    orders: Orders,
    job: Job,
    shape: Shape,
    places: Places,
    config: InputConfig,
    table: StepTable,
    decodes: DecodeTable,
    front_rows: int,
) -> JobSchedule:
    layer = network.layers[job.layer]
    out, forms = network.out_tensor(layer), stored(network, uses, layer)
    words: tuple[Word, ...] = ()
    coded: tuple[Decode, ...] = ()
    if not isinstance(layer, Conv):
        source = places.values[layer.source]
        source = replace(source, stored_groups=layer.fold) if source.spilled else source  # as it lies in its ring
        first, steps = add_pool(table, source, layer, shape.slots)
        kind, weight_words = POOL, 0 if layer.weight is None else layer.weight.shape[1]
        target = places.bits.get(forms.bits or "")
        strip = out.width if target is None else target.strip
        store = places.values.get(forms.value or "")
        passes, groups = -(-len(orders[out.name]) // shape.lanes) if store is None else store.stored_groups, 1
    else:
        passes, groups = -(-len(orders[out.name]) // shape.cols), shape.subs
        if layer.source == network.input:
            kind, strip = CONV_INPUT, config.strip
            first, steps = add_input(table, config, shape.slots, layer.weight_bits)
            weight_words = config.chunks * len(input_words(config, layer.weight_bits))
        else:
            place = places.bits[layer.source]
            kind, strip = CONV_BITS, place.strip // layer.window.stride
            words = pack_units(layer.window.kernel, read_groups(layer, place), shape.slots, place.spread)
            first, steps = add_conv(table, place, layer.window, words, layer.weight_bits)
            weight_words = len(words) * layer.weight_bits
            coded = decodes_of(words, shape.slots) if uses_codebook(layer, shape) else ()
    form = network.tensors[forms.bits].format if forms.bits and forms.codes else None
    return JobSchedule(
        layer=layer,
        job=job,
        kind=kind,
        forms=forms,
        step_first=first,
        steps=steps,
        words=words,
        weight_words=weight_words,
        decodes=coded,
        decode_first=decodes.add(coded),
        passes=passes,
        groups=groups,
        strip=strip,
        strips=-(-out.width // strip),
        turns=form.bits if isinstance(form, Codes) else max(1, len(layer.post.residuals)),
        front_rows=front_rows,
    )


def filled_passes(schedule: Schedule, s: JobSchedule) -> int:
    """Passes with channels. A pool pass may have none: its map may be stored with more groups than it fills."""
    if s.kind != POOL:
        return s.passes
    bits = schedule.places.bits.get(s.forms.bits or "")
    assert isinstance(s.layer, Pool)
    source = schedule.places.values[s.layer.source].stored_groups // s.layer.fold
    filled = source if bits is None else bits.stored_groups
    assert filled <= source
    return min(s.passes, filled)


__all__ = ["JobSchedule", "Schedule", "default_spread", "filled_passes", "input_config", "make_schedule"]
