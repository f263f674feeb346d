"""Border classes along an axis, and what a layer's weights take."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.spec.network import BorderAxis, border_map


@pytest.mark.parametrize("low", range(3))
@pytest.mark.parametrize("high", range(3))
@pytest.mark.parametrize("between", [0, 1, 4])
def test_border_classes(low: int, high: int, between: int) -> None:
    if low + high + between == 0:
        return
    axis = BorderAxis(low + high + between, low, high)
    inner = 1 if between else 0
    expected = [*range(low), *[low] * between, *range(low + inner, low + inner + high)]
    assert axis.indices().tolist() == expected
    assert axis.count == len(set(expected))
    assert [axis.index(axis.example(n)) for n in range(axis.count)] == list(range(axis.count))
    assert all(0 <= bound < axis.count for bound in axis.bounds()[0::2])


def test_border_map() -> None:
    y, x = BorderAxis(3, 1, 1), BorderAxis(4, 0, 1)
    assert np.array_equal(border_map(y, x), [[0, 0, 0, 1], [2, 2, 2, 3], [4, 4, 4, 5]])
