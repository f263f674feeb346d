"""Value memory: random reads and writes against a list; what a read beside a write of the same word gives is open."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.memory.value import ValueMemory
from bnnhw.spec.engine import PostConfig
from tests.hw import play as kit


@pytest.mark.parametrize(("words", "lanes", "width"), [(1, 1, 1), (2, 3, 5), (7, 4, 18), (64, 2, 9), (2500, 2, 9)])
def test_reads_and_writes(engine_config, post_config, words, lanes, width):
    rng = np.random.default_rng(words)
    post: PostConfig = post_config(value_width=width)
    config = engine_config(lanes=lanes, post=post, value_words=words)
    contents, inputs, expected = [0] * words, [], []
    for _ in range(300):
        at, to = (int(v) for v in rng.integers(0, words, 2))
        word = int.from_bytes(rng.bytes(10)) % (1 << lanes * width)
        valid = int(rng.integers(2))
        inputs.append({"i_address": at, "i_write_valid": valid, "i_write_address": to, "i_write_word": word})
        expected.append(None if valid and at == to else contents[at])
        if valid:
            contents[to] = word
    seen = kit.play(ValueMemory(config), [*inputs, {}, {}, {}, {}], ["o_word"])
    for now, word in zip(seen[4:], expected, strict=True):
        assert word in (None, now["o_word"])
