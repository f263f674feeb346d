"""Fetch against arithmetic on random memories: addresses, masks at every border, alignment and latency."""

from __future__ import annotations

import re

import numpy as np
import pytest
from amaranth.back import rtlil

from bnnhw.hw.sequencer.fetch import Fetch
from bnnhw.spec.memory import column_width
from bnnhw.spec.program import CONV_BITS, CONV_INPUT, POOL, Images, Widths, step_layout
from bnnhw.spec.timing import FETCH, POOL_FETCH
from tests.hw import play as kit

ADDRESSES = ("o_address", "o_input_address", "o_value_address", "o_weight_address")
CONTROL = ("o_valid", "o_shift", "o_last", "o_pool_read", "o_pool_valid", "o_pool_first", "o_pool_last", "o_pool_ok")
OUTPUTS = (*ADDRESSES, *CONTROL, "o_pool_max", "o_act", "o_weights", "o_value")


class Memories:
    """Random contents; answers addresses after two cycles, that of the value memory after four."""

    def __init__(self, rng, config):
        w = Widths.of(config)
        self.bits = rng.integers(0, 2, (config.rows, config.slots, 1 << w.bit_addr, config.lanes))
        self.input = rng.integers(0, 2, (config.rows, 1 << w.input_addr, config.depth))
        self.value = rng.integers(0, 1 << config.lanes * config.post.value_width, 1 << w.value_addr)
        self.weights = rng.integers(0, 2, (config.cols, 2 << w.weight, config.depth))
        nowhere = {"o_address": [0] * config.slots, "o_input_address": 0, "o_value_address": 0, "o_weight_address": 0}
        self.asked = [nowhere] * 3

    def answer(self, now):
        self.asked.append(now)
        values, now = self.asked.pop(0), self.asked[1]
        slots = enumerate(now["o_address"])
        bits = np.concatenate([self.bits[:, s, a] for s, a in slots], axis=-1)
        return {
            "i_bits": [kit.pack(row) for row in bits],
            "i_input": [kit.pack(row) for row in self.input[:, now["o_input_address"]]],
            "i_value": int(self.value[values["o_value_address"]]),
            "i_weights": [kit.pack(column) for column in self.weights[:, now["o_weight_address"]]],
        }


def random_steps(rng, config):
    w = Widths.of(config)
    for _ in range(config.steps):
        step = {"shift": int(rng.integers(2)), "weight": int(rng.integers(1 << w.weight))}
        for s in range(config.slots):
            step |= {f"en{s}": int(rng.random() < 0.85), f"offset{s}": int(rng.integers(1 << w.source))}
            step |= {f"d{axis}{s}": int(rng.integers(config.kernel)) for axis in "yx"}
        if config.alike:
            step |= {f"{name}{s}": step[f"{name}0"] for name in ("dy", "dx", "offset") for s in range(config.slots)}
        if config.enables == 1:
            step |= {f"en{s}": step["en0"] for s in range(config.slots)}
        yield step


def random_play(rng, config, gaps, count=120):
    """(pass fields, issued step or None) of every cycle; positions reach beyond every border of the map."""
    w = Widths.of(config)
    for _ in range(count // 10):
        fields = {"kind": int(rng.choice([CONV_BITS, CONV_BITS, CONV_INPUT, POOL])), "pool_max": int(rng.integers(2))}
        fields |= {"in_height": int(rng.integers(1, 6)), "in_width": int(rng.integers(1, 9))}
        fields |= {"in_strip": int(rng.integers(1, 4))}
        yield fields, None  # the cycle that takes the descriptor into use
        for _ in range(10):
            while rng.random() < gaps:
                yield fields, None
            yield (
                fields,
                {
                    "step": int(rng.integers(config.steps)),
                    "first": int(rng.integers(2)),
                    "last": int(rng.integers(2)),
                    "bank": int(rng.integers(2)),
                    "base": int(rng.integers(1 << w.source)),
                    "y": int(rng.integers(-config.kernel, fields["in_height"] + 1)),
                    "x": int(rng.integers(-config.kernel, fields["in_width"] + 1)),
                },
            )


def reference(config, memories, fields, step, at):
    """Addresses of a step, and its operands with their control."""
    w = Widths.of(config)
    source = [(at["base"] + step[f"offset{s}"]) % (1 << w.source) for s in range(config.slots)]
    addresses = {
        "o_address": [a % (1 << w.bit_addr) for a in source],
        "o_input_address": source[0] % (1 << w.input_addr),
        "o_value_address": source[0] % (1 << w.value_addr),
        "o_weight_address": step["weight"] + (at["bank"] << w.weight),
        "o_pool_read": int(fields["kind"] == POOL),
    }

    def inside(row, slot):
        y, x = at["y"] + step[f"dy{slot}"], row * fields["in_strip"] + at["x"] + step[f"dx{slot}"]
        return bool(step[f"en{slot}"]) and 0 <= y < fields["in_height"] and 0 <= x < fields["in_width"]

    if fields["kind"] == POOL:
        value = int(memories.value[addresses["o_value_address"]])
        return addresses, {
            "o_pool_first": at["first"],
            "o_pool_last": at["last"],
            "o_pool_ok": int(inside(0, 0)),
            "o_pool_max": fields["pool_max"],
            "o_value": value,
        }
    if fields["kind"] == CONV_INPUT:
        c, parts = config.input, [bool(step[f"en{q}"]) for q in range(config.input.parts)]
        stored = np.concatenate([np.zeros(config.depth - c.used, int), np.repeat(parts, c.used // c.parts)])
        act = memories.input[:, addresses["o_input_address"]] * stored
    else:
        words = [
            [memories.bits[r, s, a] * inside(r, s) for s, a in enumerate(addresses["o_address"])]
            for r in range(config.rows)
        ]
        act = np.array(words).reshape(config.rows, -1)
    return addresses, {
        "o_last": at["last"],
        "o_shift": step["shift"],
        "o_act": [kit.pack(row) for row in act],
        "o_weights": [kit.pack(column) for column in memories.weights[:, addresses["o_weight_address"]]],
    }


SHAPES = [
    {"rows": 1, "cols": 1, "depth": 1, "lanes": 1, "kernel": 1, "bit_words": 2, "value_words": 2},
    {"rows": 3, "cols": 2, "depth": 6, "lanes": 2, "kernel": 3, "bit_words": 30, "value_words": 70},
    {"rows": 4, "cols": 3, "depth": 6, "lanes": 3, "kernel": 2, "bit_words": 65, "value_words": 9},
    {"rows": 2, "cols": 4, "depth": 4, "lanes": 4, "kernel": 5, "bit_words": 17, "value_words": 33},
]


INPUTS = [  # of the same shapes
    {},
    {"chunk_taps": 3, "parts": 2},
    {"chunk_taps": 2, "parts": 2},
    {"channels": 3},
]


SIZES = {"steps": 12, "weight_words": 5, "map_size": 9, "pool_modes": ("sum",)}


def compare(config, gaps):
    rng = np.random.default_rng(config.rows + config.depth)
    steps = list(random_steps(rng, config))
    memories = Memories(rng, config)
    layout = step_layout(config)
    packed = tuple(layout.pack({f.name: s[f.name] for f in layout.fields if f.name in s}) for s in steps)
    dut = Fetch(config, Images((), packed, (), (), (), ()))
    assert dut.latency == FETCH
    work = [*random_play(rng, config, gaps), *[({}, None)] * (POOL_FETCH + 1)]
    idle = {"step": 0, "first": 0, "last": 1, "bank": 0, "base": 0, "y": 0, "x": 0}
    inputs, before = [], {}
    for fields, at in work:
        # i_pass comes a cycle later than the step
        inputs.append({"i_valid": at is not None, "i_step": at or idle, "i_pass": before or fields})
        before = fields
    seen = kit.play(dut, inputs, OUTPUTS, memories.answer)
    for cycle, (fields, at) in enumerate(work[: -POOL_FETCH - 1]):
        if at is None:
            assert not seen[cycle + 3]["o_pool_read"]
            assert not any(seen[cycle + FETCH][name] for name in ("o_valid", "o_last")), f"cycle {cycle}"
            assert not seen[cycle + POOL_FETCH - 1]["o_pool_valid"], f"cycle {cycle}"
            continue
        addresses, operands = reference(config, memories, fields, steps[at["step"]], at)
        assert {name: seen[cycle + 3][name] for name in addresses} == addresses, f"cycle {cycle}"
        pool = fields["kind"] == POOL
        at_units = seen[cycle + (POOL_FETCH - 1 if pool else FETCH)]
        at_units = {**at_units, "o_value": seen[cycle + POOL_FETCH]["o_value"]}
        assert {name: at_units[name] for name in operands} == operands, f"cycle {cycle}"
        assert seen[cycle + FETCH]["o_valid"] == (not pool)
        assert seen[cycle + POOL_FETCH - 1]["o_pool_valid"] == pool


@pytest.mark.parametrize(("shape", "inputs"), list(zip(SHAPES, INPUTS, strict=True)))
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_operands(engine_config, input_config, shape, inputs, gaps):
    compare(engine_config(**shape, **SIZES, input=input_config(**inputs)), gaps)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_slots_that_are_alike(engine_config, input_config, partial, gaps):
    compare(engine_config(**SHAPES[1], **SIZES, input=input_config(), alike=True, partial=partial), gaps)


@pytest.mark.parametrize("steps", [12, 1500, 4375])
def test_no_multiplexer_follows_the_step_memory(engine_config, input_config, steps):
    """Each block RAM holds some bits of all steps, as ``spec.memory`` counts, and so can use its output register."""
    config = engine_config(**SHAPES[1], **SIZES | {"steps": steps}, input=input_config())
    dut = Fetch(config, Images((), (0,) * steps, (), (), (), ()))
    widths = [int(width) for width in re.findall(rf"memory width (\d+) size {steps}\b", rtlil.convert(dut))]
    assert sum(widths) == step_layout(config).width
    assert max(widths) <= column_width(steps)
