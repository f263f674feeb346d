"""Spilled maps: which, where in the SDRAM, through which rings; and the errors where that does not help either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.losses import layer_costs
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Limits, Plan, Shape, auto, large, plan, resources
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.errors import DoesNotFitError
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.network import Network
from bnnhw.spec.spill import row_bursts, rows_needed, rows_released, spill_layout

SDRAM = boards.get("ulx3s").sdram_setup(Fraction(100_000_000))
SHAPE = Shape(4, 8, 32, 4, 1, 8)


@pytest.fixture(scope="module")
def network() -> Network:
    arch = replace(snn.ARCHS["snn_r18"], widths=(32, 64, 64, 128), size=64, classes=100)
    return lower(snn.untrained("snn_r18 reduced", arch), Widths(value=9, factor=18))


def spilled_plans(network: Network) -> Iterator[Plan]:
    found = analyse(network)
    for spilled in spill_levels(network, found.uses, True):
        yield make_plan(found, SHAPE, external=SDRAM, spilled=spilled)


def test_levels_take_the_largest_first(network: Network) -> None:
    levels = list(spill_levels(network, analyse(network).uses, True))
    assert len(levels) == 4
    for smaller, larger in zip(levels, levels[1:], strict=False):
        assert smaller < larger
    sizes = {name: (t.height * t.width * t.channels) for name, t in network.tensors.items()}
    assert {sizes[name] for name in levels[0]} == {max(sizes[name] for name in levels[-1])}
    whole = next(spill_levels(network, analyse(network).uses, False))  # the convolution of the image is stored, too
    assert max(sizes[name] for name in whole) > max(sizes[name] for name in levels[-1])


def test_maps_and_weights_are_apart(network: Network) -> None:
    """In the SDRAM nothing lies where something else does; two maps of the front unit."""
    for found in spilled_plans(network):
        layout, store = ExternalLayout.of(found.engine, found.images), found.images.front_store
        assert store is not None
        regions = [(0, layout.params.end)]
        regions += [(store.base + n * store.size, store.base + (n + 1) * store.size) for n in range(2)]
        for place in (symbol.place for symbol in found.symbols):
            if isinstance(place, ValuePlace) and place.spilled and place.base != store.base:
                bursts = place.stored_groups * place.tensor.height * row_bursts(found.engine, place.tensor.width)
                regions.append((place.base, place.base + bursts))
        regions.sort()
        assert all(end <= start for (_, end), (start, _) in zip(regions, regions[1:], strict=False))
        assert regions[-1][1] <= layout.bursts


def test_rings_hold_what_rows_need(network: Network) -> None:
    for found in spilled_plans(network):
        spill, layout = found.engine.spill, spill_layout(found.engine)
        assert spill is not None
        assert spill.jobs == len(found.images.spills)
        for f in map(layout.unpack, found.images.spills):
            assert f["load"] or f["store"]
            if f["load"]:
                assert f["load_room"] * f["load_words"] <= spill.load_words
                assert f["load_room"] >= f["need_first"] + f["need_step"] + f["lag"]
            if f["store"]:
                assert f["store_room"] >= 2
                assert f["store_room"] * f["store_words"] <= spill.store_words


def test_losses_tell_the_cycles_of_spilled_maps(network: Network) -> None:
    made = next(spilled_plans(network))
    costs = layer_costs(network, made.engine, made.cost, made.layer_of_job)
    lost = sum(cost.losses["spill"] for cost in costs)
    assert lost == made.cost.causes()["spill"] > 0
    assert sum(cost.ideal + sum(cost.losses.values()) for cost in costs) == sum(job.total for job in made.cost.jobs)


def test_rows() -> None:
    """Windows of 3 rows, 2 apart, over 9 rows with one of padding above: 2 rows each, at last as many as there are."""
    needs = rows_needed(5, 9, 2, 2)
    assert needs == [2, 2, 2, 2, 1]
    assert rows_released(needs, 1) == [1, 2, 2, 2, 2]


def test_what_fits_is_not_spilled(network: Network) -> None:
    big = Limits(lut4=80_000, bram18k=1000, dsp=200)
    assert plan(network, big, SHAPE, sdram=SDRAM).engine.spill is None


def test_shape_spills_as_little_as_it_takes(network: Network) -> None:
    """On chips just too small for what spills nothing, and for what spills the largest maps: one level less does not
    fit."""
    found = analyse(network)
    levels = [frozenset[str](), *spill_levels(network, found.uses, True)]
    whole = [make_plan(found, SHAPE, frozenset(found.uses.convs), SDRAM, spilled=level) for level in levels]
    for tight in whole[:2]:
        limits = Limits(lut4=80_000, bram18k=resources(tight).bram18k - 1, dsp=200)
        spilling = plan(network, limits, SHAPE, sdram=SDRAM)
        assert resources(spilling).over(limits) is None
        places = {symbol.name: symbol.place for symbol in spilling.symbols}
        level = {name for name, place in places.items() if isinstance(place, ValuePlace) and place.spilled}
        assert level in levels[1:]
        assert resources(whole[levels.index(frozenset(level)) - 1]).over(limits) is not None


@pytest.mark.parametrize("given", [True, False])
def test_weights_leave_the_chip_before_maps_do(network: Network, monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    """On a chip just too small for weights that take less than half of it."""
    for name, only in (("ROWS", SHAPE.rows), ("COLS", SHAPE.cols), ("DEPTHS", SHAPE.depth), ("LANES", SHAPE.lanes)):
        monkeypatch.setattr(auto, name, (only,))
    found = analyse(network)
    need = resources(make_plan(found, SHAPE, frozenset(found.uses.convs))).bram18k
    limits = Limits(lut4=80_000, bram18k=need - 1, dsp=200)
    assert not large(network, limits)
    chosen = plan(network, limits, SHAPE if given else None, sdram=SDRAM)
    assert chosen.engine.external is not None
    assert chosen.engine.spill is None


def test_chip_that_is_too_small(network: Network) -> None:
    limits = Limits(lut4=80_000, bram18k=10, dsp=200)
    with pytest.raises(DoesNotFitError, match=r"^block RAMs of network .* must be at most 10, not \d+$"):
        plan(network, limits, SHAPE, sdram=SDRAM)
