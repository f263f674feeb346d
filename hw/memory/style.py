"""What a memory is made of on the chip: registers, LUTs or block RAM."""

from __future__ import annotations

from bnnhw.spec.memory import REGISTERS, in_luts


def style(depth: int, width: int, *, rom: bool = False) -> dict[str, str]:
    """Attributes of a memory of so many words and bits that tell the synthesiser what ``spec.memory`` counts with."""
    if not in_luts(depth, width, rom=rom):
        return {"ram_style": "block"}
    return {"ram_style": "logic" if rom or depth <= REGISTERS else "distributed"}
