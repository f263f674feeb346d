"""Multiplier of any widths against Python's product, from generic registers and from the chip's own blocks."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.post import multiplier
from bnnhw.hw.post.multiplier import Multiplier
from bnnhw.spec.multiplier import BLOCK, SMALL, blocks, parts
from tests.hw import play as kit

WIDTHS = [(2, 2), (3, 9), (18, 18), (19, 4), (34, 22), (35, 18), (30, 36), (8, 40), (53, 24), (1, 20)]


def operands(rng, width, count):
    """Random values, and the extremes."""
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    special = [low, high, 0, min(high, 1), -1, low // 2, high // 3]
    return [int(v) for v in rng.choice(special, count)] + [int(v) for v in rng.integers(low, high + 1, count)]


def check(dut, a_width, b_width):
    rng = np.random.default_rng(a_width * 64 + b_width)
    a, b = operands(rng, a_width, 100), operands(rng, b_width, 100)
    inputs = [{"a": x, "b": y} for x, y in zip(a, b, strict=True)]
    seen = kit.play(dut, [*inputs, *[{}] * Multiplier.latency], ["o"])
    assert [now["o"] for now in seen[Multiplier.latency :]] == [x * y for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize(("a", "b"), WIDTHS)
def test_products(a, b):
    check(Multiplier(a, b), a, b)


class BlockModel(wiring.Component):
    """What Lattice documents of a MULT18X18D with registered operands and product (ECP5 sysDSP usage guide)."""

    def __init__(self, pins):
        self.pins = pins
        super().__init__({"a": In(signed(BLOCK)), "b": In(signed(BLOCK)), "p": Out(signed(2 * BLOCK))})

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(signed(BLOCK)), Signal(signed(BLOCK))
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.p.eq(a * b)]
        return m


@pytest.mark.parametrize(("a", "b"), [(18, 18), (34, 22), (20, 40)])
def test_products_of_blocks(monkeypatch, a, b):
    """The Instance's pins: operands extended by their sign, all registers on, signed."""
    made = []

    def instance(kind, **pins):
        assert kind == "MULT18X18D"
        assert all(pins[f"p_REG_{name}_CLK"] == "CLK0" for name in ("INPUTA", "INPUTB", "OUTPUT"))
        assert pins["p_REG_PIPELINE_CLK"] == "NONE"
        model = BlockModel(pins)
        made.append(model)
        wrapper = Module()
        wrapper.submodules.model = model
        wrapper.d.comb += [model.a[n].eq(pins[f"i_A{n}"]) for n in range(BLOCK)]
        wrapper.d.comb += [model.b[n].eq(pins[f"i_B{n}"]) for n in range(BLOCK)]
        wrapper.d.comb += [pins[f"o_P{n}"].eq(model.p[n]) for n in range(2 * BLOCK)]
        return wrapper

    monkeypatch.setattr(multiplier, "Instance", instance)
    monkeypatch.setattr(multiplier, "ClockSignal", lambda: 0)
    monkeypatch.setattr(multiplier, "LatticeECP5Platform", type(None))
    check(Multiplier(a, b), a, b)
    assert len(made) == blocks(a, b)


def test_blocks():
    assert parts(BLOCK) == [BLOCK]
    assert parts(35) == [BLOCK, BLOCK]
    assert blocks(BLOCK, BLOCK) == 1
    assert blocks(34, 22) == 4
    assert blocks(8, SMALL // 8) == 0
