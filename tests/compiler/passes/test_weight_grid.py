"""Rounding of weights to odd integers."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.passes.weight_grid import to_grid

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_on_a_grid_stay_exact(bits: int) -> None:
    """Integers times a step (zero among them), and odd integers times a step, as trained low-bit weights are."""
    integers = RNG.integers(-(1 << bits - 1), 1 << bits - 1, (5, 40, 3, 3)) * 0.37
    odd = (2 * RNG.integers(-(1 << bits - 1), 1 << bits - 1, (5, 40, 3, 3)) + 1) * 0.37
    for weight in (integers, odd):
        grid = to_grid(weight, bits)
        np.testing.assert_allclose(grid.real, weight, atol=1e-6)
        assert (grid.q % 2 == 1).all()
        assert np.abs(grid.q).max() <= (1 << bits) - 1
    assert not grid.shift.any()


@pytest.mark.parametrize("bits", range(2, 9))
def test_other_weights_are_rounded_to_nearest(bits: int) -> None:
    weight = RNG.normal(size=(4, 50, 3, 3))
    grid = to_grid(weight, bits)
    assert not grid.shift.any()
    assert (grid.q % 2 == 1).all()
    inner = np.abs(weight) <= grid.scale[:, None, None, None] * ((1 << bits) - 1)
    assert (np.abs(grid.real - weight) <= grid.scale[:, None, None, None] * 1.001)[inner].all()


def test_a_filter_of_zeros_has_scale_zero() -> None:
    weight = RNG.normal(size=(2, 300, 3, 3))
    weight[1] = 0
    grid = to_grid(weight, 8)
    np.testing.assert_array_equal(grid.real[1], 0)


def test_known_correlations_lower_the_output_error() -> None:
    weight = RNG.normal(size=(8, 3, 3, 3))
    distance = np.abs(np.arange(27)[:, None] - np.arange(27)[None, :])
    moments = 0.95**distance
    costs = []
    for grid in (to_grid(weight, 6), to_grid(weight, 6, moments)):
        error = (grid.real - weight).reshape(8, -1)
        costs.append(np.einsum("oi,ij,oj->o", error, moments, error).sum())
    assert costs[1] < costs[0] / 3
