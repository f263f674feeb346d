"""A lane against the integer network's formula: every combination of options, a new item each cycle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bnnhw.hw.post.lane import Lane, lane_fields
from bnnhw.spec.program import lane_layout
from tests.hw import play as kit
from tests.hw.post.formula import output, published

ACC, SUM, POOLED = 6, 5, 8
ITEMS = 150


def draw(rng, width, *, signed=True):
    low = -(1 << width >> 1) if signed else 0
    return int(rng.integers(low, low + (1 << width)))


def random_item(rng, config):
    """Inputs of one vector's lane whose sums fit their widths, and y and the bit that they must give."""
    p = config.post
    while True:
        record = {f.name: draw(rng, f.width) for f in lane_layout(config).fields if f.width}
        x = draw(rng, ACC, signed=False) if rng.random() < 0.7 or not config.pool_width else draw(rng, POOLED)
        a = draw(rng, SUM, signed=False) if config.sum_width else 0
        entry, residual = draw(rng, p.entry_width), draw(rng, p.value_width)
        low, high = sorted(draw(rng, p.value_width) for _ in range(2))
        planes = int(rng.integers(1, p.code_planes + 1))
        fields = {
            "shift": int(rng.integers(len(p.shifts))),
            "slope_shift": int(rng.integers(max(len(p.slope_shifts), 1))),
            "code_shift": int(rng.integers(max(len(p.code_shifts), 1))),
            "low": low,
            "high": high,
            "residual": int(rng.integers(2)) if p.residual else 0,
            "late": int(rng.integers(2)) if p.late_residual else 0,
            "codes": int(rng.integers(2)) if p.code_shifts else 0,
            "last_plane": planes - 1,
            "gate": int(rng.integers(2)) if p.gate_width else 0,
        }
        gate = draw(rng, p.value_width)
        y = output(config, record, fields, x, a, entry, residual, gate)
        if y is not None:
            break
    plane = int(rng.integers(planes))
    bit = published(config, record, fields, y, plane)
    fields = {name: value for name, value in fields.items() if name in lane_fields(config).members}
    inputs = {"i_x": x, "i_a": a, "i_entry": entry, "i_residual": residual, "i_plane": plane, "i_gate": gate}
    return inputs, record, fields, y, bit


def check(config, seed):
    rng = np.random.default_rng(seed)
    dut = Lane(config)
    s = dut.stages
    places = {"i_x": s.source, "i_a": s.scale, "i_entry": s.entry, "i_residual": s.offset, "i_plane": s.bit - 1}
    places["i_gate"] = s.gate
    if not config.sum_width:
        del places["i_a"]
    cycles = [{} for _ in range(ITEMS + s.bit + 1)]
    expected = []
    for n in range(ITEMS):
        inputs, record, fields, y, bit = random_item(rng, config)
        for name, stage in places.items():
            cycles[n + stage][name] = inputs[name]
        for name, value in record.items():
            cycles[n + s.records[name]][f"i_record.{name}"] = value
        for k, stage in enumerate(dut.field_stages):
            cycles[n + stage][f"i_fields.{k}"] = fields
        expected.append((y, bit))
    seen = kit.play(dut, cycles, ["o_y", "o_bit"])
    found = [(seen[n + s.result]["o_y"], seen[n + s.bit]["o_bit"]) for n in range(ITEMS)]
    assert found == expected


@pytest.mark.parametrize(
    ("slope", "residual", "sums", "codes", "border"),
    list(itertools.product([False, True], repeat=5)),
    ids=lambda v: "01"[v],
)
def test_options(engine_config, post_config, slope, residual, sums, codes, border):
    post = post_config(
        scale_width=5,
        sum_scale_width=4 if sums else 0,
        offset_width=9,  # products alone may leave this range: only totals must fit
        pre_width=10,
        border_width=4 if border else 0,
        value_width=8,
        shifts=(0, 3),
        residual=residual,
        slope_width=5 if slope else 0,
        slope_shifts=(1, 3) if slope else (),
        in_offset_width=6 if slope else 0,
        out_offset_width=7 if slope else 0,
        code_shifts=(2, 5) if codes else (),
        code_planes=3 if codes else 1,
    )
    check(engine_config(acc_width=ACC, sum_width=SUM if sums else 0, pool_width=POOLED, post=post), 1)


CORNERS = {
    "one shift, no slope offsets": {"shifts": (2,), "slope_width": 6, "slope_shifts": (4,)},
    "in offset only": {"slope_width": 4, "slope_shifts": (0, 2), "in_offset_width": 11, "pre_width": 13},
    "out offset only": {"slope_width": 4, "slope_shifts": (5,), "out_offset_width": 9},
    "wide out offset": {"slope_width": 2, "slope_shifts": (0, 7), "out_offset_width": 14},
    "in offset without slope": {"in_offset_width": 5},
    "zero code shift": {"code_shifts": (0,), "code_planes": 4},
    "one plane": {"code_shifts": (0, 3, 6), "code_planes": 1},
    "more planes than value bits": {"code_shifts": (0, 1), "code_planes": 8, "value_width": 5, "pre_width": 9},
    "many shifts": {"shifts": (0, 1, 4, 6, 9)},
    "late residual": {
        "slope_width": 4,
        "slope_shifts": (0, 3),
        "out_offset_width": 5,
        "residual": True,
        "late_residual": True,
    },
    "late residual, wide, no offset": {
        "slope_width": 4,
        "slope_shifts": (2,),
        "residual": True,
        "late_residual": True,
        "value_width": 12,
    },
    "gate": {"gate_width": 14, "gate_shift": 4, "gate_offset_width": 6},
    "gate behind slopes, no offset": {
        "slope_width": 4,
        "slope_shifts": (2,),
        "gate_width": 12,
        "gate_shift": 0,
        "residual": True,
        "code_shifts": (2,),
        "code_planes": 3,
    },
    "narrow value": {"value_width": 2, "residual": True},
}


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("pool", [False, True])
def test_corners(engine_config, post_config, name, pool):
    fields = {"scale_width": 5, "offset_width": 10, "pre_width": 10, "value_width": 7} | CORNERS[name]
    check(engine_config(acc_width=ACC, pool_width=POOLED if pool else 0, post=post_config(**fields)), 2)


@pytest.mark.parametrize("slope", [False, True])
def test_two_residuals(engine_config, post_config, slope):
    """Vectors of one turn and of two, in turns: the second adds what the first has read."""
    given = {"slope_width": 4, "slope_shifts": (1,), "in_offset_width": 5} if slope else {}
    post = post_config(
        scale_width=4, offset_width=10, pre_width=12, value_width=7, residual=True, second=True, code_planes=1, **given
    )
    config = engine_config(acc_width=ACC, post=post)
    rng, dut = np.random.default_rng(3), Lane(config)
    s, cycles, expected, before = dut.stages, [{} for _ in range(ITEMS + dut.stages.bit + 1)], [], None
    for n in range(ITEMS):
        y = None
        while y is None:
            inputs, record, fields, *_ = random_item(rng, config)
            flags = dict(zip(("residual", "second"), (int(bit) for bit in rng.integers(0, 2, 2)), strict=True))
            again = before is not None
            taken = {"residual": flags["second"] if again else flags["residual"], "late": 0, "codes": 0}
            y = output(config, record, fields | {"shift": 0, "slope_shift": 0} | taken, inputs["i_x"], 0,
                       inputs["i_entry"], inputs["i_residual"], before=before or 0)  # fmt: skip
        cycles[n + s.source]["i_x"], cycles[n + s.entry]["i_entry"] = inputs["i_x"], inputs["i_entry"]
        cycles[n + s.offset] |= {"i_residual": inputs["i_residual"], "i_again": int(again)}
        for name, value in record.items():
            cycles[n + s.records[name]][f"i_record.{name}"] = value
        for k, stage in enumerate(dut.field_stages):
            cycles[n + stage][f"i_fields.{k}"] = fields | flags
        expected.append(y)
        first = inputs["i_residual"] if flags["residual"] else 0
        before = first if not again and rng.random() < 0.5 else None
    seen = kit.play(dut, cycles, ["o_y"])
    assert [seen[n + s.result]["o_y"] for n in range(ITEMS)] == expected
