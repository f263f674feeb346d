"""Descriptor memory: the words in order, for ever, at every allowed pace."""

import numpy as np
import pytest

from bnnhw.hw.sequencer.descriptors import Descriptors
from bnnhw.spec.layout import BitField, WordLayout
from tests.hw import play as kit

LAYOUT = WordLayout((BitField("a", 3), BitField("unused", 5), BitField("b", 4, signed=True), BitField("absent", 0)))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("waits", [0.0, 0.7])
def test_words_in_order(count, waits):
    rng = np.random.default_rng(count)
    values = [{"a": int(rng.integers(8)), "unused": 17, "b": int(rng.integers(-8, 8))} for _ in range(count)]
    moves = [0, 0, 0]
    while len(moves) < 60:
        moves += [1, *[0] * (1 + int(rng.random() < waits) * int(rng.integers(4)))]
    dut = Descriptors(LAYOUT, [LAYOUT.pack(v) for v in values], ("b", "a", "absent"))
    seen = kit.play(dut, [{"i_next": move} for move in moves], ("o_valid", "o"))
    assert [now["o_valid"] for now in seen] == [0, 0, 0] + [1] * (len(moves) - 3)
    taken = 0
    for now, move in list(zip(seen, moves, strict=True))[3:]:
        assert now["o"] == {name: values[taken % count][name] for name in ("a", "b")}
        taken += move
