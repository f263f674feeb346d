"""The adder tree that every form of the popcount follows: which product is swallowed where, and when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bnnhw.spec.timing import popcount_levels


@dataclass(frozen=True)
class Leaf:
    """Adds up to three products; ``products`` are their indices."""

    products: tuple[int, ...]


@dataclass(frozen=True)
class Adder:
    """Adds two smaller counts and one more product, which a carry chain takes as its carry-in at no cost."""

    left: Leaf | Adder
    right: Leaf | Adder
    product: int | None


Node = Leaf | Adder


def size(node: Node) -> int:
    """Products below a node: the largest count it can have."""
    if isinstance(node, Leaf):
        return len(node.products)
    return size(node.left) + size(node.right) + (node.product is not None)


@cache
def _split(products: int) -> tuple[int, tuple[int, int, int]]:
    """(cost in LUT4s, (left, right, injected)) of the cheapest tree with the fewest levels."""
    if products <= 3:
        return (2 if products > 1 else 1), (products, 0, 0)
    below = (1 << popcount_levels(products)) - 1
    best: tuple[int, tuple[int, int, int]] | None = None
    for injected in (1, 0):
        rest = products - injected
        for left in range((rest + 1) // 2, min(rest - 1, below) + 1):
            cost = _split(left)[0] + _split(rest - left)[0] + left.bit_length() + 1
            if best is None or cost < best[0]:
                best = cost, (left, rest - left, injected)
    assert best is not None
    return best


def luts(products: int) -> int:
    """LUT4s of the tree as carry chains, without what leads carries into and out of the chains."""
    return _split(products)[0]


def plan(products: int) -> Node:
    """The tree of products 0 .. products - 1 (at least 1)."""

    def build(first: int, count: int) -> Node:
        left, right, injected = _split(count)[1]
        if not right:
            return Leaf(tuple(range(first, first + count)))
        product = first + left + right if injected else None
        return Adder(build(first, left), build(first + left, right), product)

    return build(0, products)


def skews(products: int) -> tuple[int, ...]:
    """For each product, how many cycles after the earliest ones the tree takes it in."""
    skew = [0] * products

    def walk(node: Node, level: int) -> None:
        """``level`` counts the registers from the first products to the node's own register."""
        if isinstance(node, Leaf):
            for i in node.products:
                skew[i] = level - 1
            return
        walk(node.left, level - 1)
        walk(node.right, level - 1)
        if node.product is not None:
            skew[node.product] = level - 1

    if products:
        walk(plan(products), popcount_levels(products))
    return tuple(skew)
