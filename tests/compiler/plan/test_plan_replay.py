"""A frame's jobs replayed on a picture of both memories that knows of every word which row of which map is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import Job, bandable
from bnnhw.compiler.plan.build import Analysis, analyse, make_plan
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.places import BitPlace, ValuePlace
from bnnhw.compiler.plan.schedule import Schedule, default_spread, make_schedule
from bnnhw.compiler.plan.uses import stored
from bnnhw.sim.fuzz.network import random_network
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.network import Layer, Network

SHAPES = [Shape(2, 8, 16, 4, 2), Shape(3, 8, 8, 2, 4), Shape(4, 8, 32, 8, 2)]
Row = tuple[str, int]
"""Name of a map, and which of its rows."""


class Memory:
    """One memory's maps, and the row that each word holds."""

    def __init__(self, maps: Mapping[str, BitPlace | ValuePlace], words: int) -> None:
        self.maps, self.owner = maps, np.full(words, None, object)

    def span(self, name: str, row: int, job: Job | None = None) -> slice:
        """The words of a row; of a map that is kept band by band, those in the band of ``job``."""
        place = self.maps[name]
        banded = isinstance(place, BitPlace) and place.rows < place.tensor.height
        at = place.base + (row - (job.first if banded and job else 0)) * place.row
        assert 0 <= at < at + place.row <= len(self.owner)
        return slice(at, at + place.row)

    def write(self, row: Row, span: slice) -> set[Row]:
        """What was there before."""
        before = {tuple(old) for old in self.owner[span] if old is not None}
        self.owner[span].fill(row)
        return before


def rows_read(network: Network, job: Job) -> dict[str, set[int]]:
    """Rows of each map that a job needs."""
    layer = network.layers[job.layer]
    window, height = layer.window, network.tensors[layer.source].height
    ys = range(job.first, job.first + job.rows)
    taps = {y * window.stride - window.pad + dy for y in ys for dy in range(window.kernel)}
    found = {layer.source: {y for y in taps if 0 <= y < height}}
    residual = layer.post.residual
    if residual is not None:
        found.setdefault(residual.tensor, set()).update(y * residual.stride for y in ys)
    return found


def replay(found: Analysis, schedule: Schedule) -> None:
    """Fails where a job finds another row than it reads, or overwrites one that it still needs. A front unit stores the
    next frame's map as early as it may."""
    network, order, places = found.network, schedule.order, schedule.places
    memories = [Memory(places.bits, schedule.memory.bit_words), Memory(places.values, schedule.memory.value_words)]

    def own(layer: Layer, memory: Memory) -> list[str]:
        forms = stored(network, found.uses, layer)
        return [name for name in (forms.bits, forms.value) if name in memory.maps]

    for memory in memories:
        first = [] if schedule.front is None else own(schedule.front.last, memory)
        for name in first:
            for y in range(network.tensors[name].height):
                memory.write((name, y), memory.span(name, y))
        ahead = 0
        for time, job in enumerate(order.jobs):
            layer, reads = network.layers[job.layer], rows_read(network, job)
            for y in range(ahead, schedule.jobs[time].front_rows):
                for name in first:
                    memory.write((f"next {name}", y), memory.span(name, y))
            ahead = max(ahead, schedule.jobs[time].front_rows)
            for name in reads.keys() & memory.maps.keys():
                for y in reads[name]:
                    assert {*memory.owner[memory.span(name, y, job)]} == {(name, y)}, f"job {time}"
            for y in range(job.first, job.first + job.rows):
                for name in own(layer, memory):
                    span = memory.span(name, y, job)
                    for old in memory.write((name, y), span):
                        if old[1] in reads.get(old[0], ()):  # the lanes read each word before they write it
                            residual = layer.post.residual
                            assert residual is not None, f"job {time}"
                            assert old == (residual.tensor, y), f"job {time}"
                            assert memory.span(*old, job) == span, f"job {time}"
        for name in first:
            for y in range(ahead):
                assert {*memory.owner[memory.span(name, y)]} == {(f"next {name}", y)}


READ_AGAIN = (121, 142, 165)
"""Networks in which a map is added to one of the same layout, and read again later."""


@pytest.mark.parametrize("index", [*range(40), *READ_AGAIN])
def test_no_map_is_overwritten_before_its_last_reader(index: int) -> None:
    found = analyse(random_network(5, index))
    spread = frozenset(list(found.uses.convs)[::2])
    replay(found, make_schedule(found.network, found.uses, found.orders, SHAPES[index % 3], spread, {}))


BANDED = (8, 13, 16, 17, 45, 49, 53, 66, 71, 76, 86, 98, 107)
"""Networks in which pools and convolutions can take turns."""
FRONT = (2, 4, 6, 11, 18, 20, 21, 23, 24, 28, 42, 43, 53, 66, 86, 107)
"""Networks whose image a front unit can convolve."""


@pytest.mark.parametrize("bands", range(2, 6))
@pytest.mark.parametrize(("index", "front"), [*((n, False) for n in BANDED), *((n, True) for n in FRONT)])
def test_bands_and_front_unit(index: int, front: bool, bands: int) -> None:
    shape = SHAPES[index % 3]
    check(analyse(random_network(5, index)), replace(shape, front=shape.lanes if front else 0), bands)


@pytest.fixture(scope="module")
def residual_network() -> Analysis:
    """Three resolutions, with a shortcut of pool and convolution between each two."""
    arch = snn.Arch(blocks=(1, 2, 1), widths=(8, 12, 20), tau=4, size=64, classes=7)
    return analyse(lower(snn.untrained("small", arch), Widths(value=12, factor=18)))


@pytest.mark.parametrize("shape", [Shape(2, 8, 16, 4, 2, 4), Shape(3, 8, 16, 4, 2), Shape(4, 16, 24, 4, 2, 16)])
@pytest.mark.parametrize("bands", range(1, 9))
def test_residual_network(residual_network: Analysis, shape: Shape, bands: int) -> None:
    check(residual_network, shape, bands)


def test_descriptors_say_what_the_front_unit_may_store(residual_network: Analysis) -> None:
    found, shape = residual_network, Shape(2, 8, 16, 4, 2, 4)
    spread = default_spread(found.network, found.uses, found.orders, shape)
    schedule = make_schedule(found.network, found.uses, found.orders, shape, spread)
    plan = make_plan(found, shape, spread)
    layout = job_layout(plan.engine)
    rows = [layout.unpack(word)["front_rows"] for word in plan.images.jobs]
    assert rows == [job.front_rows for job in schedule.jobs]
    assert rows == sorted(rows)
    assert len(set(rows)) > 2


def check(found: Analysis, shape: Shape, bands: int) -> None:
    """Replays a network with pools in so many bands."""
    network, uses = found.network, found.uses
    taken = front_layers(network, uses).indices if shape.front else ()
    pools = dict.fromkeys(bandable(network, uses), bands)
    spread = default_spread(network, uses, found.orders, shape)
    schedule = make_schedule(network, uses, found.orders, shape, spread, pools)
    assert (len(schedule.jobs) > len(network.layers) - len(taken)) == (bands > 1 and bool(pools))
    replay(found, schedule)
