"""Pool reader against NumPy: sum and maximum, summed channels, weights, skipped taps, random gaps."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.pool.reader import PoolReader
from bnnhw.spec.timing import EARLY, pool_latency
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


@pytest.mark.parametrize("folds", [(), (2,), (2, 4)])
@pytest.mark.parametrize("bits", [0, 3])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_items(engine_config, post_config, folds, bits, gaps):
    """Jobs of all kinds in turns: plain, folded, weighted, and both."""
    rng = np.random.default_rng([len(folds), bits])
    lanes, width, jobs = 4, 5, 40
    config = engine_config(
        lanes=lanes, cols=lanes, depth=lanes, post=post_config(value_width=width), pool_modes=("sum",), pool_width=16,
        folds=folds, pool_weight_width=bits,
    )  # fmt: skip
    inputs, expected = [], []

    def noise():
        return {"i_valid": 0, "i_last": int(rng.integers(2)), "i_value": int(rng.integers(1 << lanes * width))}

    for _ in range(jobs):
        fold, weighted = int(rng.integers(len(folds) + 1)), int(rng.integers(2)) if bits else 0
        count, taps = (1, *folds)[fold], int(rng.integers(1, 5))
        total = np.zeros(lanes, np.int64)
        for n in range(taps * count):
            while rng.random() < gaps:
                inputs.append(noise())
            values, part, ok = rng.integers(-(1 << width - 1), 1 << width - 1, lanes), n % count, int(rng.integers(2))
            weights = rng.integers(-(1 << bits >> 1), 1 << bits >> 1, lanes) if bits else np.ones(lanes, np.int64)
            own = lanes // count
            item = np.tile(values.reshape(own, count).sum(axis=1), count) * (np.arange(lanes) // own == part)
            total += ok * item * (weights if weighted else 1)
            control = {"i_valid": 1, "i_first": n == 0, "i_last": n == taps * count - 1, "i_ok": ok, "i_max": 0}
            given = {"part": part if count > 1 else int(rng.integers(folds[-1])) if folds else 0, "fold": fold}
            names = dut_parts(config)
            control |= {"i_part": {k: v for k, v in (given | {"weighted": weighted}).items() if k in names}}
            inputs.append(control | {"i_weights": kit.pack(weights, bits), "i_value": kit.pack(values, width)})
        expected.append((len(inputs) + pool_latency(config), total.tolist()))
    inputs += [noise() for _ in range(EARLY + pool_latency(config) + 1)]
    values = [0, *(now["i_value"] for now in inputs)]  # come a cycle after their controls
    inputs = [{**now, "i_value": value} for now, value in zip(inputs, values, strict=False)]
    if not bits:
        inputs = [{name: value for name, value in now.items() if name != "i_weights"} for now in inputs]
    seen = kit.play(PoolReader(config), inputs, ["o_captures", "o_values"])
    assert [n for n, now in enumerate(seen) if now["o_captures"]] == [cycle - 1 for cycle, _ in expected]
    assert [seen[cycle + EARLY]["o_values"] for cycle, _ in expected] == [total for _, total in expected]


def dut_parts(config):
    """What a step says, of the things that there are."""
    return [*["part", "fold"] * bool(config.folds), *["weighted"] * bool(config.pool_weight_width)]
