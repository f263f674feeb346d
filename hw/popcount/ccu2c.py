"""ECP5 carry chains built half by half: the halves that popcounts and accumulators are made of, and their model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amaranth import C, Cat, Elaboratable, Instance, Module, Mux, Signal, ValueLike
from amaranth.vendor import LatticeECP5Platform


@dataclass(frozen=True, eq=False)
class Half:
    """One half of a CCU2C: a LUT4 with its place in a carry chain.

    lut4 = init[d c b a], lut2 = init[0 0 b a]; sum = lut4 ^ carry-in; carry-out = carry-in if lut4 else lut2.
    Inputs left at 1 cost no routing: unconnected pins of an ECP5 LUT read as 1.
    """

    init: int
    a: ValueLike = 1
    b: ValueLike = 1
    c: ValueLike = 1
    d: ValueLike = 1
    sum: Signal | None = None


def majority(a1: ValueLike, b1: ValueLike, a2: ValueLike, b2: ValueLike, total: Signal) -> Half:
    """Adds the products a1 ^ b1, a2 ^ b2 and the carry-in: parity to ``total``, majority to the carry."""
    return Half(0x6996, a1, b1, a2, b2, total)


def inject(a: ValueLike, b: ValueLike, carry: Signal | None = None) -> Half:
    """Puts the carry-in out on ``carry`` and starts the next number with the product a ^ b as its carry-in."""
    return Half(0x0006, a, b, sum=carry)


def stop(carry: Signal | None = None) -> Half:
    """Puts the carry-in out on ``carry``; the next number starts with carry-in 0."""
    return Half(0x0000, sum=carry)


def add(a: ValueLike, b: ValueLike | None, total: Signal) -> Half:
    """One bit of a + b; b None is 0."""
    return Half(0xAAAA, a, sum=total) if b is None else Half(0x666A, a, b, sum=total)


def accumulate(
    addend: ValueLike | None, same: ValueLike, below: ValueLike | None, keep: ValueLike, total: Signal
) -> Half:
    """One bit of addend + (keep ? same : below); addend and below None are 0."""
    if addend is None:
        return Half(0xCC00 if below is None else 0xCCF0, b=same, c=1 if below is None else below, d=keep, sum=total)
    return Half(0x66AA if below is None else 0x665A, addend, same, 1 if below is None else below, keep, total)


class CarryChain(Elaboratable):
    """Combinational chain of halves, the first with an undefined carry-in: it must be an `inject` or a `stop`.

    On an ECP5 platform these are CCU2C instances, elsewhere (simulation, proofs) what they compute.
    """

    def __init__(self, halves: Sequence[Half]) -> None:
        self.halves = tuple(halves)

    def elaborate(self, platform: object) -> Module:
        return self._instances() if isinstance(platform, LatticeECP5Platform) else self._model()

    def _pairs(self) -> Iterator[tuple[Half, Half]]:
        padded = self.halves + (stop(),) * (len(self.halves) % 2)
        return zip(padded[::2], padded[1::2], strict=True)

    def _instances(self) -> Module:
        m = Module()
        carry: ValueLike = C(0, 1)
        for index, pair in enumerate(self._pairs()):
            carry_out = Signal(name=f"cout_{index}")
            pins: dict[str, object] = {"i_CIN": carry, "o_COUT": carry_out}
            for k, half in enumerate(pair):
                pins[f"p_INIT{k}"] = C(half.init, 16)
                pins[f"p_INJECT1_{k}"] = "NO"
                for name in "abcd":
                    value = getattr(half, name)
                    pins[f"i_{name.upper()}{k}"] = C(1, 1) if isinstance(value, int) else value
                pins[f"o_S{k}"] = Signal(name=f"unused_{index}_{k}") if half.sum is None else half.sum
            m.submodules[f"cell_{index}"] = Instance("CCU2C", **pins)
            carry = carry_out
        return m

    def _model(self) -> Module:
        m = Module()
        carry: ValueLike = C(0, 1)
        for index, half in enumerate(self.halves):
            lut4, carry_out = Signal(name=f"lut4_{index}"), Signal(name=f"carry_{index}")
            table = C(half.init, 16)
            lut2 = table[:4].bit_select(Cat(half.a, half.b), 1)
            m.d.comb += lut4.eq(table.bit_select(Cat(half.a, half.b, half.c, half.d), 1))
            m.d.comb += carry_out.eq(Mux(lut4, carry, lut2))
            if half.sum is not None:
                m.d.comb += half.sum.eq(lut4 ^ carry)
            carry = carry_out
        return m
