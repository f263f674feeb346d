"""Jobs of layers that take turns: which do, in which order, what each reads, and how long a band lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import Job, JobOrder, bandable, fewest_bands
from bnnhw.compiler.plan.memory import Part, bit_regions
from bnnhw.compiler.plan.orders import channel_orders
from bnnhw.compiler.plan.places import make_places
from bnnhw.compiler.plan.uses import find_uses
from bnnhw.spec.network import Network, Residual, Window
from tests.sim.machine.plan_networks import Builder

MAP = 14, 6


def begin() -> Builder:
    b = Builder(1, *MAP, 2)
    b.conv("image", 5, forms="vb")
    return b


def end(b: Builder, added: str = "", **conv: int) -> Network:
    """A convolution of the codes, and one to which its output is added, or map ``added``."""
    short = b.conv("pool1.codes", 5, **{"kernel": 1, **conv})
    added = added or f"{short}.value"
    last = b.conv("conv0.bits", 5, stride=MAP[0] // b.tensors[added].height, residual=Residual(added), forms="vb")
    x = b.tensors[f"{last}.bits"]
    b.conv(x.name, 3, kernel=x.width, stride=x.height, pad=0)
    return b.build()


def pool(b: Builder, **pool: Any) -> None:
    b.pool("conv0.value", **{"forms": "c", **pool})


def shortcut() -> Network:
    b = begin()
    pool(b)
    return end(b)


def test_a_pool_and_the_convolution_behind_it_take_turns() -> None:
    network = shortcut()
    assert bandable(network, find_uses(network)) == [1]
    order = JobOrder(network, {1: 3})
    turns = [Job(1, 6, 1), Job(2, 6, 1), Job(1, 3, 3), Job(2, 3, 3), Job(1, 0, 3), Job(2, 0, 3)]
    assert order.jobs == (Job(0, 0, 14), *turns, Job(3, 0, 7), Job(4, 0, 1))
    assert order.kept_rows(1) == 3
    assert order.kept_rows(2) == 7
    assert order.births(1) == [5, 5, 5, 3, 3, 3, 1]
    assert order.births(2) == [6, 6, 6, 4, 4, 4, 2]
    assert order.deaths(0, [1], "conv0.value") == [5] * 6 + [3] * 6 + [1] * 2
    assert order.deaths(2, [3], "conv2.value") == [7] * 7


@pytest.mark.parametrize(("count", "rows"), [(1, [7]), (2, [3, 4]), (3, [1, 3, 3]), (4, [1, 2, 2, 2]), (8, [1] * 7)])
def test_bands_of_equal_rows_but_for_the_last(count: int, rows: list[int]) -> None:
    assert [job.rows for _, job in JobOrder(shortcut(), {1: count}).of(1)] == rows


@pytest.mark.parametrize(
    ("window", "rows"),
    [
        (Window(1), range(4, 7)),
        (Window(2, 2), range(8, 14)),
        (Window(3, 2, 1), range(7, 14)),
        (Window(3, 1, 1), range(3, 8)),
        (Window(5, 3, 2), range(10, 20)),
        (Window(9, 1, 8), range(7)),
    ],
)
def test_rows_that_a_job_reads(window: Window, rows: range) -> None:
    assert Job(0, 4, 3).source_rows(window, 20, whole=False) == rows
    assert Job(0, 4, 3).source_rows(window, 20, whole=True) == range(20)


def test_a_band_lives_from_the_first_turn_to_the_last() -> None:
    network = shortcut()
    uses, order = find_uses(network), JobOrder(network, {1: 3})
    places = make_places(network, uses, channel_orders(network, uses), Shape(2, 8, 16, 4, 2), frozenset(), order)
    regions = {region.names[0]: region for region in bit_regions(network, uses, places, order)}
    assert regions["pool1.codes"].parts == (Part(0, 3 * places.bits["pool1.codes"].row, 1, 6),)


@pytest.mark.parametrize(("enough", "count"), [(1, 8), (2, 4), (3, 4), (4, 2), (5, 2), (7, 1)])
def test_as_few_bands_as_need_least(enough: int, count: int) -> None:
    order = fewest_bands(shortcut(), [1], (), lambda order: max(enough, order.kept_rows(1)))
    assert order.jobs == JobOrder(shortcut(), {1: count}).jobs


def read_twice(b: Builder) -> None:
    pool(b)
    b.conv("pool1.codes", 3, kernel=1)


def read_later(b: Builder) -> None:
    pool(b)
    b.conv("conv0.bits", 3)


@pytest.mark.parametrize(
    ("made", "conv"),
    [
        (read_twice, {}),
        (read_later, {}),
        (lambda b: pool(b, forms="vc"), {"added": "pool1.value"}),
        (lambda b: pool(b, kernel=4, pad=1), {}),
        (pool, {"kernel": 3}),
        (pool, {"pad": 1, "stride": 3, "added": "conv0.value"}),
        (lambda b: pool(b, kernel=1, stride=1), {"stride": 2}),
        (lambda b: pool(b, kernel=6, stride=14), {"added": "conv0.value"}),
    ],
)
def test_others_do_not(made: Callable[[Builder], None], conv: dict[str, Any]) -> None:
    b = begin()
    made(b)
    network = end(b, **conv)
    assert bandable(network, find_uses(network)) == []
