"""Job memory and pass walk: the words in order and the fields of their passes, for ever, at every allowed pace."""

import numpy as np
import pytest

from bnnhw.hw.sequencer.jobs import JobMemory
from bnnhw.hw.sequencer.passes import PassWalk
from bnnhw.spec.jobs import PART_BITS, parts
from bnnhw.spec.layout import BitField, WordLayout
from tests.hw import play as kit

f = BitField
NARROW = WordLayout((f("a", 3), f("unused", 5), f("b", 4, signed=True), f("absent", 0)))
WIDE = WordLayout((f("b", 4, signed=True), f("unused", 50), f("a", 3), f("c", PART_BITS), f("d", PART_BITS)))
SLOTS = 6
JOB = WordLayout(
    (
        f("last_pass", 3),
        f("last_filled", 3),
        f("base", 5),
        f("d_pass", 3),
        f("repeat", 2),
        f("groups", 3),
        f("residual", 1),
        f("last_residual", 3),
        f("res_base", 6),
        f("val_base", 4),
        f("bits", 1),
        f("bit_base", 5),
        f("bit_dpass", 3),
        f("slot", 3),
        f("slot_dpass", 3),
        f("fixed", 20),
    )
)
COUNTED = ("last_pass", "last_filled", "last_residual", "repeat")


def random_word(rng, layout):
    """Values of all fields."""
    return {
        field.name: int(rng.integers(1 << field.width)) - ((1 << field.width >> 1) if field.signed else 0)
        for field in layout.fields
        if field.width
    }


@pytest.mark.parametrize("layout", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("count", [1, 2, 5, 70])
@pytest.mark.parametrize("waits", [0.0, 0.7])
def test_words_in_order(layout, count, waits):
    rng = np.random.default_rng(count)
    values = [random_word(rng, layout) for _ in range(count)]
    names = ("b", "a", "c", "d", "absent")
    wanted = {field.name for field in layout.only(names).fields}
    dut = JobMemory(layout, [layout.pack(v) for v in values], names)
    assert dut.period <= parts(layout.only(names).width)[0] + 1
    takes, expected = [0] * dut.period, [None] * dut.period
    for n in range(12 if count < 70 else 75):
        pause = int(rng.random() < waits) * int(rng.integers(4))
        expected += [{name: values[n % count][name] for name in wanted}] * (pause + 1) + [None] * (dut.period - 1)
        takes += [0] * pause + [1] + [0] * (dut.period - 1)
    seen = kit.play(dut, [{"i_take": take} for take in takes], ("o_valid", "o"))
    for cycle, (now, word) in enumerate(zip(seen, expected, strict=True)):
        assert now["o_valid"] == (word is not None), f"cycle {cycle}"
        assert word is None or now["o"] == word, f"cycle {cycle}"


def fields_of(job, n):
    """What ``spec.jobs`` says of the fields of pass ``n``; those that only count are left out."""
    s = job["slot"] + n * job["slot_dpass"]
    fields = {
        "base": (job["base"] + min(n, job["last_filled"]) // (job["repeat"] + 1) * job["d_pass"]) % 32,
        "residual": job["residual"] if n <= job["last_residual"] else 0,
        "res_base": (job["res_base"] + n * job["groups"]) % 64,
        "val_base": (job["val_base"] + n * job["groups"]) % 16,
        "bits": job["bits"] if n <= job["last_filled"] else 0,
        "slot": s % SLOTS,
        "bit_base": (job["bit_base"] + n * job["bit_dpass"] + s // SLOTS) % 32,
    }
    return {name: value for name, value in (job | fields).items() if name not in COUNTED}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("waits", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_passes_in_order(count, waits, seed):
    rng = np.random.default_rng([count, seed])
    jobs = [random_word(rng, JOB) for _ in range(count)]
    for job in jobs:
        job |= {name: int(rng.integers(SLOTS)) for name in ("slot", "slot_dpass")}
        job["last_pass"] = int(rng.integers(8)) * int(rng.integers(2))
    gap = 4
    dut = PassWalk(JOB, [JOB.pack(job) for job in jobs], [field.name for field in JOB.fields], slots=SLOTS, gap=gap)
    start = parts(JOB.width)[0] + 2
    inputs, expected, due = [0] * start, [({}, False)] * start, start
    for job in jobs * 3:
        for n in range(job["last_pass"] + 1):
            pause = int(rng.random() < waits) * int(rng.integers(4))
            if n == 0:
                pause = max(pause, due - len(inputs))
                due = len(inputs) + pause + gap
            now = fields_of(job, n) | {"o_first": int(n == 0), "o_last": int(n == job["last_pass"])}
            inputs += [0] * pause + [1, 0]
            expected += [(now, n > 0)] * pause + [(now, True), None]
    seen = kit.play(dut, [{"i_next": move} for move in inputs], ("o_valid", "o", "o_first", "o_last"))
    for cycle, (now, wanted) in enumerate(zip(seen, expected, strict=True)):
        if wanted is None:
            assert not now["o_valid"], f"cycle {cycle}"
            continue
        fields, due = wanted  # while no i_next comes, the next job's word may still be on its way
        assert now["o_valid"] or not due, f"cycle {cycle}"
        if now["o_valid"]:
            found = now["o"] | {name: now[name] for name in ("o_first", "o_last")}
            assert {name: found[name] for name in fields} == fields, f"cycle {cycle}"


def test_equal_bits_are_stored_once():
    """Of seven bits two are stored: field a is always 5, b twice the same pair of bits."""
    words = [NARROW.pack({"a": 5, "b": b}) for b in (0, 5, -6, -1, 0)]
    dut = JobMemory(NARROW, words, ("a", "b"))
    assert (dut.part_bits, dut.period) == (2, 2)
    seen = kit.play(dut, [{"i_take": n % 2} for n in range(1, 16)], ("o_valid", "o"))
    assert [now["o"] for now in seen if now["o_valid"]] == [{"a": 5, "b": b} for b in (0, 5, -6, -1, 0, 0, 5)]
