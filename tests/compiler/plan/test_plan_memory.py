"""Memory planning: nothing that is alive is overwritten, and addresses are as low as they should be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import JobOrder
from bnnhw.compiler.plan.build import analyse
from bnnhw.compiler.plan.memory import Part, Region, assign, bit_regions, value_regions
from bnnhw.compiler.plan.places import make_places
from bnnhw.sim.fuzz.network import random_network

PARTS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=3)


def region(name, *parts):
    """Of parts (words, first, last), one after the other."""
    ends = np.cumsum([0, *(words for words, _, _ in parts)]).tolist()
    return Region((name,), tuple(Part(at, *part) for at, part in zip(ends, parts, strict=False)))


REGIONS = st.lists(PARTS, max_size=10).map(
    lambda found: [region(f"t{i}", *((w, a, a + n) for w, a, n in parts)) for i, parts in enumerate(found)]
)


def words_at(regions, bases, time):
    """Words of everything alive at a time; bases None: wherever."""
    return [
        word + (bases[r.names[0]] if bases else 0)
        for r in regions
        for p in r.parts
        if p.first <= time <= p.last
        for word in range(p.offset, p.offset + p.words)
    ]


def overlap(regions, bases):
    """Whether two parts that are alive at the same time share a word."""
    alive = [words_at(regions, bases, time) for time in range(20)]
    return any(len(set(words)) < len(words) for words in alive)


@given(REGIONS, st.booleans())
def test_assign_separates_what_is_alive(regions, bottom):
    bases, words = assign(regions, "t0" if bottom else None)
    assert not overlap(regions, bases)
    assert min(bases.values(), default=0) >= 0
    assert words == max((bases[r.names[0]] + r.words for r in regions), default=0) or bottom
    assert all(bases[r.names[0]] + r.words <= words for r in regions)
    assert not bottom or not regions or bases["t0"] == 0
    most = max((len(words_at(regions, None, time)) for time in range(20)), default=0)
    assert most <= words <= sum(r.words for r in regions)


def test_assign_reuses_words():
    regions = [region("a", (8, 0, 1)), region("b", (6, 1, 2)), region("c", (5, 2, 3)), region("d", (3, 3, 3))]
    bases, words = assign(regions)
    assert bases == {"a": 0, "b": 8, "c": 0, "d": 5}
    assert words == 14


def test_assign_reuses_words_of_parts():
    regions = [region("a", (8, 0, 3), (8, 0, 1)), region("b", (6, 2, 4)), region("c", (2, 2, 4))]
    bases, words = assign(regions)
    assert bases == {"a": 0, "b": 8, "c": 14}
    assert words == 16
    assert assign(regions, "a")[0] == {"a": 0, "b": 10, "c": 8}


def test_overlap_check_sees_a_planted_overlap():
    regions = [region("a", (3, 0, 0), (8, 0, 1)), region("b", (6, 1, 2))]
    assert not overlap(regions, {"a": 6, "b": 3})
    assert overlap(regions, {"a": 6, "b": 4})


def test_identity_residuals_share_one_place_and_others_do_not():
    kept = strided = 0
    for index in range(60):
        network = random_network(5, index)
        found = analyse(network)
        order = JobOrder(network)
        places = make_places(network, found.uses, found.orders, Shape(2, 8, 16, 4, 2), frozenset(), order)
        for region in value_regions(network, found.uses, places, order):
            kept += len(region.names) > 1
            for name in region.names[1:]:
                residual = network.layers[found.uses.producer[name]].post.residual
                assert residual.tensor in region.names
                strided += residual.stride != 1
        assert all(len(region.names) == 1 for region in bit_regions(network, found.uses, places, order))
    assert kept > 5
    assert strided == 0
