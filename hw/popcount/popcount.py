"""XNOR-popcount of one processing element, in the form that the target deserves."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.popcount import ccu2c
from bnnhw.hw.popcount.tree import Adder, Leaf, Node, plan, size, skews
from bnnhw.spec import engine
from bnnhw.spec.numbers import unsigned_width
from bnnhw.spec.timing import popcount_levels


class Popcount(wiring.Component):
    """o = number of bits in which i_act and i_weights differ, 0 .. products.

    Rate: one count a cycle. Bit i of the operands of one count must come ``skew[i]`` cycles after the bits of skew 0;
    the count shows ``latency`` cycles after the bits of skew 0. Every level of the adder tree has a register, and a
    product that a later level takes in comes when that level needs it: the delay is made once, before the operands
    spread over the array, not in each element. Both forms have the same skew and latency.

    TREE sums with ``+``. CARRY places ECP5 carry chains: one LUT4 and the half behind it swallow three products, and
    every further adder takes one more product as its carry-in; all adders of a level lie on one chain.

    Parameters
    ----------
    products
        Bits of an operand, at least 1.
    form
        How the counting is done; same function for all.
    """

    def __init__(self, *, products: int, form: engine.Popcount) -> None:
        assert products >= 1
        self.products, self.form = products, form
        super().__init__({"i_act": In(products), "i_weights": In(products), "o": Out(unsigned_width(products))})

    @property
    def latency(self) -> int:
        """Cycles from the bits of skew 0 to the count."""
        return popcount_levels(self.products)

    @property
    def skew(self) -> tuple[int, ...]:
        """For each bit, how many cycles after those of skew 0 it must come."""
        return skews(self.products)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The register behind every node of the tree, by level.
        counts: dict[Node, Signal] = {}
        by_level: dict[int, list[Node]] = {}
        for node, level in _walk(plan(self.products), self.latency):
            counts[node] = Signal(unsigned_width(size(node)), name=f"count_{level}_{len(counts)}", reset_less=True)
            by_level.setdefault(level, []).append(node)
        for level, nodes in sorted(by_level.items()):
            match self.form:
                case engine.Popcount.TREE:
                    self._behavioural(m, nodes, counts)
                case engine.Popcount.CARRY:
                    sums = {node: Signal.like(counts[node], name=f"sum_{level}_{i}") for i, node in enumerate(nodes)}
                    m.d.sync += [counts[node].eq(sums[node]) for node in nodes]
                    m.submodules[f"level_{level}"] = self._chain(m, nodes, counts, sums)
        m.d.comb += self.o.eq(counts[plan(self.products)])
        return m

    def _product(self, index: int) -> Value:
        return self.i_act[index] ^ self.i_weights[index]

    def _behavioural(self, m: Module, nodes: list[Node], counts: dict[Node, Signal]) -> None:
        for node in nodes:
            if isinstance(node, Leaf):
                terms = [self._product(i) for i in node.products]
            else:
                terms = [counts[node.left], counts[node.right]]
                terms += [] if node.product is None else [self._product(node.product)]
            m.d.sync += counts[node].eq(sum(terms[1:], terms[0]))

    def _chain(
        self, m: Module, nodes: list[Node], counts: dict[Node, Signal], sums: dict[Node, Signal]
    ) -> Elaboratable:
        """The nodes of one level on one chain; a number's carry-out leaves through the first half of the next."""
        a, w = self.i_act, self.i_weights
        halves: list[ccu2c.Half] = []
        carry: Signal | None = None

        def begin(product: int | None) -> None:
            nonlocal carry
            halves.append(ccu2c.stop(carry) if product is None else ccu2c.inject(a[product], w[product], carry))
            carry = None

        def bit(node: Node, index: int) -> Signal:
            """A net of its own for one bit of a sum: outputs of cells cannot drive slices."""
            net = Signal(name=f"{sums[node].name}_{index}")
            m.d.comb += sums[node][index].eq(net)
            return net

        for node in nodes:
            if isinstance(node, Leaf):
                first, *rest = node.products
                if not rest:
                    m.d.comb += sums[node].eq(self._product(first))
                    continue
                begin(rest[1] if len(rest) > 1 else None)
                halves.append(ccu2c.majority(a[first], w[first], a[rest[0]], w[rest[0]], bit(node, 0)))
                carry = bit(node, 1)
                continue
            begin(node.product)
            left, right = counts[node.left], counts[node.right]
            for i in range(len(left)):
                halves.append(ccu2c.add(left[i], right[i] if i < len(right) else None, bit(node, i)))
            carry = bit(node, len(left)) if len(sums[node]) > len(left) else None
        if carry is not None:
            halves.append(ccu2c.stop(carry))
        return ccu2c.CarryChain(halves)


def _walk(node: Node, level: int) -> Iterator[tuple[Node, int]]:
    """Every node below and including ``node``, with the level of its register."""
    yield node, level
    if isinstance(node, Adder):
        yield from _walk(node.left, level - 1)
        yield from _walk(node.right, level - 1)
