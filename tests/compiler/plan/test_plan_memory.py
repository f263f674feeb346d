"""Memory planning: nothing that is alive is overwritten, and addresses are as low as they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse
from bnnhw.compiler.plan.memory import Region, assign, bit_regions, value_regions
from bnnhw.compiler.plan.places import make_places
from bnnhw.compiler.plan.schedule import make_schedule
from bnnhw.sim.fuzz.network import random_network

REGIONS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 12), st.integers(0, 6)).map(lambda t: (t[0], t[1], t[1] + t[2])),
    max_size=12,
)


def overlaps(regions, bases):
    """Pairs of maps that are alive in the same layer and share a word."""
    return [
        (a.names, b.names)
        for i, a in enumerate(regions)
        for b in regions[i + 1 :]
        if a.first <= b.last and b.first <= a.last
        if bases[a.names[0]] < bases[b.names[0]] + b.words and bases[b.names[0]] < bases[a.names[0]] + a.words
    ]


@given(REGIONS)
def test_assign_separates_what_is_alive(sizes):
    regions = [Region((f"t{i}",), *size) for i, size in enumerate(sizes)]
    bases, words = assign(regions)
    assert overlaps(regions, bases) == []
    assert words == max((bases[r.names[0]] + r.words for r in regions), default=0)
    most = max((sum(r.words for r in regions if r.first <= t <= r.last) for t in range(20)), default=0)
    assert most <= words <= sum(r.words for r in regions)


def test_assign_reuses_words():
    regions = [Region(("a",), 8, 0, 1), Region(("b",), 6, 1, 2), Region(("c",), 5, 2, 3), Region(("d",), 3, 3, 3)]
    bases, words = assign(regions)
    assert bases == {"a": 0, "b": 8, "c": 0, "d": 5}
    assert words == 14


def test_overlap_check_sees_a_planted_overlap():
    regions = [Region(("a",), 8, 0, 1), Region(("b",), 6, 1, 2)]
    assert overlaps(regions, {"a": 0, "b": 7}) == [(("a",), ("b",))]


@pytest.mark.parametrize("index", range(40))
def test_no_map_is_overwritten_before_its_last_reader(index):
    """Replays writes and reads of whole maps, layer by layer, on a word-accurate picture of both memories."""
    network = random_network(5, index)
    found = analyse(network)
    shape = [Shape(2, 8, 16, 4, 2), Shape(3, 8, 8, 2, 4), Shape(4, 8, 32, 8, 2)][index % 3]
    schedule = make_schedule(network, found.uses, found.orders, shape, frozenset(list(found.uses.convs)[::2]))
    places = schedule.places
    for kind, words in ((places.bits, schedule.bit_words), (places.values, schedule.value_words)):
        owner = np.full(words, "", object)
        for number, layer in enumerate(network.layers):
            read = [layer.source] + ([layer.post.residual.tensor] if layer.post.residual else [])
            mine = [n for n in kind if found.uses.producer[n] == number]
            for name in read:
                if name in kind:
                    assert (owner[kind[name].base :][: kind[name].words] == name).all()
            for name in mine:
                place = kind[name]
                assert place.base + place.words <= words
                trampled = set(owner[place.base : place.base + place.words].tolist()) & set(read)
                safe = (
                    {layer.post.residual.tensor} if layer.post.residual and layer.post.residual.stride == 1 else set()
                )
                assert trampled <= safe - {layer.source}
                owner[place.base : place.base + place.words] = name


def test_identity_residuals_share_one_place_and_others_do_not():
    kept = strided = 0
    for index in range(60):
        network = random_network(5, index)
        found = analyse(network)
        places = make_places(network, found.uses, found.orders, Shape(2, 8, 16, 4, 2), frozenset())
        for region in value_regions(network, found.uses, places):
            kept += len(region.names) > 1
            for name in region.names[1:]:
                residual = network.layers[found.uses.producer[name]].post.residual
                assert residual.tensor in region.names
                strided += residual.stride != 1
        assert all(len(region.names) == 1 for region in bit_regions(network, found.uses, places))
    assert kept > 5
    assert strided == 0
