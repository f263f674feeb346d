"""Offsets of border classes as what each class adds to the count: exact, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.plan.fold import Borders


@pytest.mark.parametrize("classes", [1, 4, 9])
@pytest.mark.parametrize("seed", range(5))
def test_whole_counts(classes, seed):
    rng = np.random.default_rng([seed, classes])
    scale = rng.integers(-9, 10, 20)  # some of them 0
    offset = rng.integers(-500, 500, 20)[:, None] + scale[:, None] * rng.integers(-30, 30, (20, classes))
    found = Borders.of(scale, offset)
    assert found is not None
    np.testing.assert_array_equal(found.offset[:, None] + scale[:, None] * found.count, offset)
    assert not found.count[scale == 0].any()


@pytest.mark.parametrize("scale", [0, 3, -2])
def test_refuses_fractions(scale):
    offset = np.array([[7, 7, 7]]) + np.array([[0, scale, scale + 1]])
    assert Borders.of(np.array([scale]), offset) is None


def test_counts_from_the_class_that_leaves_the_smallest():
    found = Borders.of(np.array([2]), np.array([[-20, 0, 20]]))
    assert found is not None
    assert (found.offset.tolist(), found.count.tolist()) == ([0], [[-10, 0, 10]])
