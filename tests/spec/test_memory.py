"""Which memories share block RAMs."""

from __future__ import annotations

import pytest

from bnnhw.spec.memory import parts_together


@pytest.mark.parametrize(
    ("depth", "width", "count", "together"),
    [
        (512, 8, 4, 4),
        (512, 9, 4, 4),  # parity bits are used too
        (512, 10, 4, 2),  # each part has bytes of its own
        (512, 19, 4, 1),
        (512, 5, 8, 4),
        (513, 9, 4, 2),
        (1025, 9, 4, 1),
        (20_000, 9, 4, 1),
        (512, 9, 6, 3),  # all block RAMs alike
        (513, 9, 3, 1),
        (512, 9, 2, 2),
        (32, 36, 4, 1),  # LUTs
        (128, 8, 4, 1),
        (129, 8, 4, 4),
    ],
)
def test_parts_together(depth: int, width: int, count: int, together: int) -> None:
    assert parts_together(depth, width, count) == together
