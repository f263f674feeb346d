"""Steps on the input windows: every pair of planes once, with its own significance, and weights where they are read."""

from __future__ import annotations

from collections import Counter

import pytest

from bnnhw.compiler.plan.steps import input_pairs, input_words
from bnnhw.spec.engine import InputConfig


def config(parts, planes):
    return InputConfig(
        height=4, width=4, channels=1, kernel=3, stride=1, pad=0, out_height=2, out_width=2, strip=2,
        chunk_taps=9, parts=parts, planes=planes,
    )  # fmt: skip


@pytest.mark.parametrize("parts", range(1, 9))
@pytest.mark.parametrize("planes", [1, 3, 8])
@pytest.mark.parametrize("weight_planes", [1, 2, 7, 20])
def test_every_pair_of_planes_once(parts, planes, weight_planes):
    parts = min(parts, planes)
    c = config(parts, planes)
    words = input_words(c, weight_planes)
    factor, found = 1 << planes + weight_planes - 2, Counter()
    for double, pair in input_pairs(c, weight_planes):
        factor >>= double
        for part, used in enumerate(pair.used):
            if used:
                plane, weight_plane = pair.group * parts + part, words[pair.row][part]
                assert factor == 1 << plane + weight_plane
                found[plane, weight_plane] += 1
            else:  # a masked part must not add weights either
                assert part not in words[pair.row]
    assert found == {(i, j): 1 for i in range(planes) for j in range(weight_planes)}


def test_two_planes_a_word_nearly_halve_the_steps():
    assert [len(input_pairs(config(parts, 8), 20)) for parts in (1, 2, 3, 4)] == [160, 84, 65, 46]
