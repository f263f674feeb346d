"""What the front unit may do before its rows may be stored, followed row by row in the worst case."""

from __future__ import annotations

import pytest

from bnnhw.spec.front import AHEAD, FrontConfig
from bnnhw.spec.network import BorderAxis, Window

HALVES = Window(3, 2, 1)


def unit(height: int, *, pool: Window = HALVES, lanes: int = 4, taps: int = 3) -> FrontConfig:
    """A unit whose map has ``height`` rows of 14 pixels in 16 channels."""
    out = height * pool.stride
    return FrontConfig(
        height=out, width=28, channels=1, window=Window(taps, 1, taps // 2), out_height=out, out_width=28, outs=16,
        lanes=lanes, columns=4, weight_bits=8, acc_width=24, scale_width=8, offset_width=16, value_width=9, shift=4,
        low=-200, high=200, border_y=BorderAxis(out, 1, 1), border_x=BorderAxis(28, 1, 1), pool=pool,
        pool_height=height, pool_width=28 // pool.stride, value=None, bits=None,
    )  # fmt: skip


@pytest.mark.parametrize("height", range(1, 30))
def test_rows_that_wait_have_room_and_none_waits_for_the_last(height: int) -> None:
    """Each row begins as soon as it may, and no row may be stored earlier than the row that needs it begins."""
    c = unit(height)
    assert c.ahead == min(AHEAD, (height - 1) // 2)
    stored = free = 0
    waiting = []
    for pooled in range(height):
        waiting.append(pooled - stored)
        free = c.permitted(pooled)
        stored = min(free, stored + 2, pooled + 1)  # two rows of the convolution, in each a row can be stored
    assert max(waiting) <= c.ahead
    assert waiting[-1] == 0
    assert free == height


@pytest.mark.parametrize("height", range(1, 30))
def test_no_row_is_held_longer_than_room_and_end_ask_for(height: int) -> None:
    c = unit(height)
    for pooled in range(height - 2 * c.ahead):
        assert c.permitted(pooled) == max(0, pooled + 1 - c.ahead)


@pytest.mark.parametrize(("pool", "lanes"), [(Window(1), 4), (Window(2, 1), 4)])
def test_nothing_waits_where_it_could_not_be_made_up_for(pool: Window, lanes: int) -> None:
    c = unit(20, pool=pool, lanes=lanes)
    assert c.ahead == 0
    assert [c.permitted(pooled) for pooled in range(20)] == list(range(1, 21))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("vectors", [1, 2, 7, 32])
def test_gaps_suffice_for_a_pooled_row_in_a_row_of_the_convolution(lanes: int, vectors: int) -> None:
    c = unit(20, lanes=lanes)
    gap = c.gap(vectors)
    assert c.row_steps * gap >= c.row_vectors * (vectors + gap)
    assert gap == 1 or c.row_steps * (gap - 1) < c.row_vectors * (vectors + gap - 1)


@pytest.mark.parametrize("height", range(1, 30))
def test_fifo_holds_the_rows_that_wait_and_one_more(height: int) -> None:
    c = unit(height)
    assert c.fifo_words >= c.row_vectors * (c.ahead + 1)
