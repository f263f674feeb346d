"""Pool reader against NumPy: sum and maximum, skipped taps, random gaps."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.pool.reader import PoolReader
from bnnhw.spec.timing import EARLY
from tests.hw import play as kit


@pytest.mark.parametrize("modes", [("sum",), ("max",), ("sum", "max")])
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_pools(engine_config, post_config, modes, lanes, gaps):
    rng = np.random.default_rng(lanes)
    width, pool_width = 5, 10
    config = engine_config(lanes=lanes, post=post_config(value_width=width), pool_modes=modes, pool_width=pool_width)
    inputs, expected = [], []

    def noise(valid):
        names = ("i_first", "i_last", "i_ok", "i_max")
        return {n: int(rng.integers(2)) for n in names} | {
            "i_valid": valid, "i_value": int(rng.integers(1 << lanes * width))
        }  # fmt: skip

    for position in range(60):
        taps = int(rng.integers(1, 10))
        values = rng.integers(-(1 << width - 1), 1 << width - 1, (taps, lanes))
        ok = rng.integers(0, 2, taps) if position % 3 else np.full(taps, position % 2)
        mode = str(rng.choice(modes))
        for n in range(taps):
            while rng.random() < gaps:
                inputs.append(noise(0))
            inputs.append(
                {"i_valid": 1, "i_first": n == 0, "i_last": n == taps - 1, "i_ok": int(ok[n]), "i_max": mode == "max",
                 "i_value": kit.pack(values[n], width)}
            )  # fmt: skip
        seen = values[ok == 1]
        if mode == "sum":
            pooled = seen.sum(axis=0)
        else:
            pooled = seen.max(axis=0, initial=-(1 << width - 1))
        expected.append((len(inputs), pooled.tolist()))
    inputs += [noise(0) for _ in range(EARLY + 1)]
    values = [noise(0)["i_value"], *(now["i_value"] for now in inputs)]  # come a cycle after their controls
    inputs = [{**now, "i_value": value} for now, value in zip(inputs, values, strict=False)]
    seen = kit.play(PoolReader(config), inputs, ["o_captures", "o_values"])
    assert [n for n, now in enumerate(seen) if now["o_captures"]] == [cycle - 1 for cycle, _ in expected]
    ends = [cycle for cycle, _ in expected[1:]] + [len(seen)]
    for (start, pooled), end in zip(expected, ends, strict=True):
        # values follow the capture, and hold until the next position's follow
        assert all(now["o_values"] == pooled for now in seen[start + EARLY : end + EARLY])
