"""Calibration: ranges that hold what decides, in the width that values have."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnnhw.compiler.calibrate import Spread, calibrate
from bnnhw.compiler.ir import GlobalAvgPool, Graph, Input, Node, TwoSlope
from bnnhw.compiler.passes.formats import fraction_for

FEW, MANY = 9, 18
"""Widths of values."""


def spread(*parts: NDArray[np.float32]) -> Spread:
    found = Spread.nothing(parts[0].shape[-1])
    for part in parts:
        found.take(part)
    return found


def mean_error(values: NDArray[np.float32], low: float, high: float, bits: int) -> float:
    """Of values stored in so many bits, in the format for a range."""
    step = 2.0 ** -fraction_for(low, high, bits)
    limit = 1 << bits - 1
    return float(np.abs(np.clip(np.rint(values / step), -limit, limit - 1) * step - values).mean())


def tailed(seed: int, reach: float) -> NDArray[np.float32]:
    """Normal values (8, 16, 16, 4), half of them 0 as behind a ReLU, one in four thousand ``reach``."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (8, 16, 16, 4)) * rng.integers(0, 2, (8, 16, 16, 4))
    values.flat[::4000] = reach
    return values.astype(np.float32)


def test_tails_are_cut_where_bits_are_few() -> None:
    values = tailed(1, 60)
    low, high = spread(values).range(FEW)
    assert (low, high) == (values.min(), 4.0)
    assert mean_error(values, low, high, FEW) < 0.8 * mean_error(values, values.min(), values.max(), FEW)
    assert spread(values).range(MANY) == [values.min(), values.max()]
    assert spread(values).range(None) == [values.min(), values.max()]


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1000), st.integers(-10, 10), st.sampled_from([FEW, 12, MANY]))
def test_a_cut_never_makes_the_error_much_larger(seed: int, reach: float, octave: int, bits: int) -> None:
    values = tailed(seed, reach) * np.float32(2.0**octave)
    found = spread(*np.split(values, 2))
    low, high = found.range(bits)
    assert values.min() <= low <= high <= values.max()
    whole = mean_error(values, float(values.min()), float(values.max()), bits)
    assert mean_error(values, low, high, bits) <= 1.05 * whole
    assert found.range(bits) == spread(values).range(bits)
    np.testing.assert_array_equal(found.bounds, [values.min(axis=(0, 1, 2)), values.max(axis=(0, 1, 2))])


def test_zeros_only() -> None:
    assert spread(np.zeros((1, 2, 2, 3), np.float32)).range(FEW) == [0, 0]


def test_the_scores_are_never_cut() -> None:
    """One image of thousands is white, the others nearly black: the mean of its map is far out."""
    images = np.zeros((4000, 2, 2, 1), np.uint8)
    images[::2], images[7] = 1, 255
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    nodes = (
        Node("input", Input(1, 2, 2, zero, one), ()),
        Node("slope", TwoSlope(one, one), ("input",)),
        Node("pool", GlobalAvgPool(), ("slope",)),
    )
    found = calibrate(Graph(nodes, "pool", {"widths": {"value": FEW}}), images).meta
    assert found["ranges"]["slope"][1] < 0.1
    assert found["ranges"]["pool"] == [0.0, 1.0]
    assert found["channel_ranges"]["slope"] == [[0.0], [1.0]]
