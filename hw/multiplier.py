"""Signed pipelined multiplier from 18 x 18 blocks, whose own registers take the operands and the products."""

from __future__ import annotations

from amaranth import C, Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeECP5Platform

from bnnhw.hw.arithmetic import product
from bnnhw.hw.dsp import block
from bnnhw.spec.multiplier import BLOCK, LATENCY, LOW, SMALL, parts


class Multiplier(wiring.Component):
    """o = a * b, exactly. Rate: one a cycle. Latency: 4 cycles (operand registers, product registers, sums of the lower
    and of all products).

    An operand of more than 18 bits is cut into parts, each pair of parts takes one block. On ECP5 these are MULT18X18D
    with the registers inside the block, elsewhere what they compute.
    """

    latency = LATENCY

    def __init__(self, a_width: int, b_width: int) -> None:
        super().__init__({"a": In(signed(a_width)), "b": In(signed(b_width)), "o": Out(signed(a_width + b_width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        diagonals: dict[int, list[Value]] = {}
        for i, a in enumerate(_cut(self.a)):
            for j, b in enumerate(_cut(self.b)):
                part = Signal(signed(2 * BLOCK), name=f"product_{i}_{j}")
                small = len(a) * len(b) <= SMALL
                if isinstance(platform, LatticeECP5Platform) and not small:
                    m.submodules[f"block_{i}_{j}"] = block(a, b, part)
                else:
                    held_a, held_b = Signal(signed(len(a))), Signal(signed(len(b)))
                    m.d.sync += [
                        held_a.eq(a),
                        held_b.eq(b),
                        part.eq(product(held_a, held_b) if small else held_a * held_b),
                    ]
                diagonals.setdefault(i - j, []).append(part)
        # Along a diagonal parts follow each other without overlap: all but the last are not negative.
        terms = [
            Cat(*(part[: 2 * LOW] for part in lower), last).as_signed() << LOW * abs(diagonal)
            for diagonal, (*lower, last) in diagonals.items()
        ]
        main, rest = Signal.like(self.o), Signal.like(self.o)
        m.d.sync += [main.eq(terms[0]), rest.eq(sum(terms[1:], Const(0))), self.o.eq(main + rest)]
        return m


def _cut(operand: Signal) -> list[Value]:
    """Parts of an operand, lowest first, each fit for a signed block; part n counts 2**(17 n)."""
    *lower, _ = parts(len(operand))
    cut: list[Value] = [Cat(operand[n * LOW : (n + 1) * LOW], C(0, 1)).as_signed() for n in range(len(lower))]
    return [*cut, operand[len(lower) * LOW :].as_signed()]
