"""Vector walker: order, addresses, classes, planes, slots and fields of every vector, captures as close as allowed."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.post.walk import VectorWalker
from bnnhw.spec.jobs import CARRIED_FIELDS
from bnnhw.spec.program import POOL
from bnnhw.spec.timing import POST_SWITCH, job_cycles
from tests.hw import play as kit
from tests.hw.post.passes import random_jobs, vectors_of

SHAPES = {
    "smallest": {"rows": 1, "cols": 1, "depth": 1, "lanes": 1},
    "subs": {"rows": 3, "cols": 6, "depth": 2, "lanes": 2},
    "slots": {"rows": 2, "cols": 2, "depth": 6, "lanes": 2},
    "subs < slots": {"rows": 4, "cols": 4, "depth": 10, "lanes": 2},
    "subs > slots": {"rows": 3, "cols": 7, "depth": 3, "lanes": 1},
    "equal": {"rows": 2, "cols": 8, "depth": 8, "lanes": 2},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize("codes", [0, 3])
@pytest.mark.parametrize("gated", [False, True])
def test_vectors(engine_config, post_config, name, gaps, codes, gated):
    rng = np.random.default_rng([len(name), codes])
    more = {"residual": True, "second": True, "tiled": True, "gate_width": 9} if gated else {"residual": bool(codes)}
    post = post_config(
        value_width=6, **more, shifts=(0, 1, 2), slope_width=2, slope_shifts=(1, 2),
        code_shifts=(1, 2, 3) if codes else (), code_planes=max(codes, 1),
    )  # fmt: skip
    config = engine_config(
        **SHAPES[name], post=post, bit_words=90, value_words=70, kernel=3, map_size=20, classes=25, passes=4,
        pool_modes=("sum",), gate_words=11,
    )  # fmt: skip
    images, passes = random_jobs(rng, config, 3)
    inputs, expected = [], []

    def wait(cycles):
        inputs.extend({"i_capture": 0} for _ in range(cycles))
        expected.extend(None for _ in range(cycles))

    for turn in range(2):
        for n, p in enumerate(passes):
            wait(job_cycles(config) if p["first"] else POST_SWITCH)
            tiles = list(vectors_of(config, p))
            for number, vectors in enumerate(tiles):
                while rng.random() < gaps:
                    wait(1)
                pool = p["kind"] == POOL
                inputs.append({"i_capture": 1})
                inputs += [{"i_capture": 0}] * (len(vectors) - 1)
                ends = [later["r"] != now["r"] for now, later in zip(vectors, vectors[1:], strict=False)] + [True]
                fields = {name: p[name] for name in CARRIED_FIELDS}
                for k, vector in enumerate(vectors):
                    last = number == len(tiles) - 1 and k == len(vectors) - 1
                    found = {
                        "bank": (turn * len(passes) + n) % 2,
                        "pass_end": int(last),
                        "pool": int(pool),
                        "fields": fields,
                    }
                    expected.append((vector | found, int(ends[k] and not pool)))
    seen = kit.play(VectorWalker(config, images), inputs, ["o_vector", "o_next"])
    for cycle, (now, wanted) in enumerate(zip(seen, expected, strict=True)):
        assert now["o_vector"]["valid"] == (wanted is not None), f"cycle {cycle}"
        if wanted is None:
            assert not now["o_next"], f"cycle {cycle}"
            assert not now["o_vector"]["pass_end"], f"cycle {cycle}"
            continue
        vector, o_next = wanted
        assert now["o_next"] == o_next, f"cycle {cycle}"
        border = now["o_vector"]["border"]
        now["o_vector"]["class_"] = border["row"] * border["columns"] + border["column"]
        for key, value in vector.items():
            if key in ("y", "r", "x"):
                continue
            got = now["o_vector"].get(key, 0)
            if key == "write":
                got = {k: v for k, v in got.items() if k != "bits"}
            elif key == "fields":
                value = {k: v for k, v in value.items() if k in got}
            assert got == value, f"cycle {cycle}: {key}"
