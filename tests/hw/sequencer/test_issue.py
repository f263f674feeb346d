"""Issue unit against a reference that says what every cycle of a frame holds: cause, step, position, pass fields."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.sequencer.issue import Issue
from bnnhw.sim.machine.program import pass_fields
from bnnhw.spec.engine import COUNTERS
from bnnhw.spec.jobs import FETCH_FIELDS, job_layout
from bnnhw.spec.program import CONV_BITS, CONV_INPUT, POOL, Images, Widths
from bnnhw.spec.timing import POST_SWITCH, job_cycles
from tests.hw import play as kit

CAUSES = COUNTERS[1:]
OUTPUTS = ("o_start", "o_take", "o_done", "o_valid", "o_step", "o_pass", "o_cause", "o_over")


class Reference:
    """Chooses the inputs of every cycle and says what the outputs must be; ``step`` is None where nothing is issued."""

    def __init__(self, rng, config, passes, waits):
        self.rng, self.passes, self.waits = rng, passes, waits
        self.widths, self.least = Widths.of(config), job_cycles(config)
        self.inputs, self.expected, self.fields = [], [], []
        self.free = 0  # first cycle in which the post-processor lets a last step go
        self.bank = 0

    def cycle(self, cause=None, step=None, inputs=(), **pulses):
        """``inputs`` are those that this cycle knows: i_run is its own, the others come a cycle before."""
        noise = {name: int(self.rng.integers(2)) for name in ("i_run", "i_weights", "i_params", "i_drained")}
        inputs = dict(inputs)
        self.inputs.append(noise | {name: inputs.pop(name) for name in ("i_run",) if name in inputs})
        if inputs:
            self.inputs[-2] |= inputs
        self.expected.append({"cause": cause, "step": step, "o_start": 0, "o_take": 0, "o_done": 0} | pulses)

    def wait(self):
        return int(self.rng.integers(0, 6)) if self.rng.random() < self.waits else 0

    def frame(self):
        for _ in range(self.wait()):
            self.cycle(inputs={"i_run": 0})
        self.cycle("pass_", inputs={"i_run": 1}, o_start=1)
        for n, p in enumerate(self.passes):
            self.cycle("pass_")
            self.play(n, p)
        self.cycle("layer")
        for _ in range(self.least + self.wait()):
            self.cycle("layer", inputs={"i_drained": 0})
        self.cycle("layer", inputs={"i_drained": 1}, o_done=1)

    def play(self, n, p):
        for _ in range(self.wait()):
            self.cycle("weights", inputs={"i_weights": 0})
        for _ in range(self.wait()):
            self.cycle("params", inputs={"i_weights": 1, "i_params": 0})
        ready = {"i_weights": 1, "i_params": 1}
        if p["number"] == 0:  # in a job's first pass; nothing is stored before a frame's first
            least = self.least if n else 0
            for _ in range(least + self.wait()):
                self.cycle("layer", inputs=ready | {"i_drained": 0})
            ready["i_drained"] = 1
        take = 1
        strips = range(p["last_r"] + 1) if p["kind"] == POOL else [0]
        tiles = [(y, lx, r) for y in range(p["last_y"] + 1) for lx in range(p["last_lx"] + 1) for r in strips]
        for y, lx, r in tiles:
            for number in range(p["step_first"], p["step_last"] + 1):
                last = number == p["step_last"]
                while last and len(self.inputs) < self.free:
                    self.cycle("post", inputs=ready, o_take=take)
                    ready, take = {}, 0
                self.cycle("issue", self.step(p, number, y, lx, r), ready, o_take=take)
                self.expected[-1]["pass"] = n
                ready, take = {}, 0
            self.free = len(self.inputs) + p["drain"]
        self.free += POST_SWITCH
        self.bank ^= 1

    def step(self, p, number, y, lx, r):
        base = p["base"] + y * p["d_y"] + lx * p["d_lx"] + r * p["d_r"]
        return {
            "step": number,
            "first": int(number == p["step_first"]),
            "last": int(number == p["step_last"]),
            "bank": self.bank,
            "base": base % (1 << self.widths.source),
            "y": y * p["stride"] - p["pad"],
            "x": (lx * p["stride"] if p["kind"] != POOL else lx * p["stride"] + r * p["in_strip"]) - p["pad"],
        }


def random_jobs(rng, config, count):
    """Words of ``count`` jobs, and the fields of every pass with its ``number`` in the job."""
    layout = job_layout(config)
    words = tuple(layout.pack(job) for job in random_fields(rng, config, count))
    jobs = [layout.unpack(word) for word in words]
    passes = [pass_fields(config, job, n) | {"number": n} for job in jobs for n in range(job["last_pass"] + 1)]
    return Images(words, (), (), (), (), ()), passes


def random_fields(rng, config, count):
    w = Widths.of(config)
    address = lambda: int(rng.integers(1 << w.source))  # noqa: E731
    for n in range(count):
        first = int(rng.integers(config.steps))
        yield {
            "kind": int(rng.choice([CONV_BITS, CONV_INPUT, POOL])),
            "pool_max": int(rng.integers(2)),
            "final": int(n == count - 1),
            "last_pass": (last_pass := int(rng.integers(config.passes))),
            "last_filled": int(rng.integers(last_pass + 1)),
            "d_pass": int(rng.integers(2)),
            "step_first": first,
            "step_last": int(rng.integers(first, min(config.steps, first + 4))),
            "last_y": int(rng.integers(3)),
            "last_lx": int(rng.integers(3)),
            "last_r": int(rng.integers(config.rows)),
            "base": address(),
            "d_lx": address(),
            "d_y": address(),
            "d_r": address(),
            "stride": int(rng.integers(1, 3)),
            "pad": int(rng.integers(3)),
            "in_height": int(rng.integers(1, 7)),
            "in_width": int(rng.integers(1, 7)),
            "in_strip": int(rng.integers(1, 4)),
            "drain": int(rng.integers(7)),
        }


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("waits", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_every_cycle(engine_config, count, waits, seed):
    rng = np.random.default_rng([seed, count])
    config = engine_config(
        rows=3, cols=2, lanes=1, depth=2, steps=9, passes=3, bit_words=40, kernel=3, map_size=7, pool_modes=("sum",)
    )
    images, passes = random_jobs(rng, config, count)
    reference = Reference(rng, config, passes, waits)
    for _ in range(20):  # until the first descriptor is there
        reference.cycle(inputs={"i_run": 0})
    for _ in range(3):
        reference.frame()
    reference.cycle(inputs={"i_run": 0})
    reference.cycle(inputs={"i_run": 0})
    present = {f.name for f in job_layout(config).only(FETCH_FIELDS).fields}
    seen = kit.play(Issue(config, images), reference.inputs, OUTPUTS)
    for cycle, (now, later, expected) in enumerate(zip(seen, seen[1:], reference.expected, strict=False)):
        cause = 0 if expected["cause"] is None else 1 << CAUSES.index(expected["cause"])
        assert later["o_cause"] == cause, f"cycle {cycle}: {expected['cause']}"
        assert later["o_over"] == expected["o_done"], f"cycle {cycle}"
        for name in ("o_start", "o_take", "o_done"):
            assert now[name] == expected[name], f"cycle {cycle}: {name}"
        assert now["o_valid"] == (expected["step"] is not None)
        if expected["step"] is not None:
            assert now["o_step"] == expected["step"], f"cycle {cycle}"
            wanted = {name: passes[expected["pass"]][name] for name in present}
            assert seen[cycle + 1]["o_pass"] == wanted, f"cycle {cycle}"
