"""Comparisons, tables and border classes against Python, for every operand."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth import Module, Signal, Value, signed, unsigned
from amaranth.sim import Simulator

from bnnhw.hw.arithmetic import less, table
from bnnhw.hw.border import border_class
from bnnhw.spec.network import BorderAxis


def values(inputs: list[tuple[Signal, int]], result: Value) -> int:
    """What ``result`` is for these inputs."""
    m, found = Module(), []
    out = Signal(result.shape())
    m.d.comb += out.eq(result)

    async def bench(ctx: Any) -> None:
        for signal, value in inputs:
            ctx.set(signal, value)
        found.append(ctx.get(out))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found[0]


@pytest.mark.parametrize("shape", [signed(3), unsigned(2)])
def test_less(shape: Any) -> None:
    a, b = Signal(shape), Signal(shape)
    numbers = range(-4, 4) if shape.signed else range(4)
    for x in numbers:
        for y in numbers:
            assert values([(a, x), (b, y)], less(a, b)) == (x < y)
            assert values([(a, x)], less(a, y)) == (x < y)


@pytest.mark.parametrize("words", [[3], [-4, 7], [3, -4, 7, -8, 1], list(range(-8, 0))])
def test_table(words: list[int]) -> None:
    index = Signal(3)
    for n, word in enumerate(words):
        assert values([(index, n)], table(index, words, signed(4))) == word


@pytest.mark.parametrize("axis", [BorderAxis(6, 1, 2), BorderAxis(5, 0, 0), BorderAxis(3, 3, 0), BorderAxis(4, 1, 3)])
def test_border_class(axis: BorderAxis) -> None:
    position = Signal(range(axis.size))
    found = [values([(position, p)], border_class(position, *axis.bounds())) for p in range(axis.size)]
    assert found == axis.indices().tolist()
