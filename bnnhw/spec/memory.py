"""The forms of an ECP5 block RAM, and how wide memories are cut into them."""

from __future__ import annotations

BRAM_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""Width and depth of the forms of a block RAM."""
BLOCK_BITS = 18432
"""Bits of a block RAM."""
REGISTERS = 2
"""Memories of so few words are registers ..."""
LUT_RAM = 32
LUT_RAM_BITS = 1024
"""... of up to so many words, or of so few bits, LUTs in banks of 16 words, and others block RAMs."""
LUT_ROM = 64
"""Read-only memories of up to so many words are LUTs."""

STREAM_FIFO = 16
"""Words of the FIFO behind a read-only memory that is played as a stream."""


def in_luts(depth: int, width: int, *, rom: bool = False) -> bool:
    """Whether a memory takes no block RAM."""
    return depth <= LUT_ROM if rom else depth <= LUT_RAM or depth * width <= LUT_RAM_BITS


def column_width(depth: int) -> int:
    """Bits of a word that one block RAM holds for all ``depth`` words; 1 for memories deeper than any."""
    return max((width for width, words in BRAM_SHAPES if words >= depth), default=1)


def block_rams(depth: int, width: int) -> int:
    """Block RAMs of a memory of one write and one read port, cut into columns."""
    columns = -(-width // column_width(depth))
    return columns * -(-depth // BRAM_SHAPES[0][1])


BYTE = 9
"""Bits of a block RAM that have a write enable of their own."""


def parts_together(depth: int, width: int, count: int) -> int:
    """How many of ``count`` neighbouring memories of the same addresses share a block RAM, each with a write enable of
    its own: a divisor of ``count``."""
    if in_luts(depth, width):
        return 1
    most = max(1, column_width(depth) // (-(-width // BYTE) * BYTE))
    return max(n for n in range(1, count + 1) if count % n == 0 and n <= most)


WORTH_A_CHOICE = 0.8
"""Share of a deep memory's block RAMs that must be left for it to be cut by words too."""


def bank_words(depth: int, width: int) -> int:
    """Words of each bank of a memory whose readers can wait for a choice between banks; ``depth`` where one is best.

    The narrow forms of a block RAM leave out its parity bits, a ninth of it, and a depth that is no power of two
    leaves out more. Of equals the largest banks have the fewest wires to the choice.
    """

    def banked(words: int) -> int:
        rest = depth % words
        return depth // words * block_rams(words, width) + (block_rams(rest, width) if rest else 0)

    sizes = {words: banked(words) for _, words in BRAM_SHAPES if words < depth}
    best = min(sizes, key=lambda words: (sizes[words], -words), default=depth)
    return best if sizes and sizes[best] <= WORTH_A_CHOICE * block_rams(depth, width) else depth
