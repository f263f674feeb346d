"""Fixed latencies that the hardware has and the cost model counts with."""

POST_SWITCH = 1
"""Cycles the post-processor needs between the last vector of a pass and the first of the next."""


def popcount_levels(products: int) -> int:
    """Levels of the popcount's adder tree, each with a register: level n counts up to 2**(n + 1) - 1 products."""
    return 1 if products == 1 else max(0, products.bit_length() - 1)


def array_latency(depth: int) -> int:
    """Cycles from the last step of a tile at the array's inputs to its first row of counts at the outputs.

    Entry register, block register, popcount of all products but one, drain register.
    """
    return 3 + popcount_levels(depth - 1)
