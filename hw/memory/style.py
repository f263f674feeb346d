"""What a memory is made of on the chip: registers, LUTs or block RAM."""

from __future__ import annotations

from bnnhw.spec.memory import LUT_RAM, LUT_ROM, REGISTERS


def style(depth: int, *, rom: bool = False) -> dict[str, str]:
    """Attributes of a memory of so many words that tell the synthesiser what ``spec.memory`` counts with."""
    if depth <= (LUT_ROM if rom else REGISTERS):
        return {"ram_style": "logic"}
    return {"ram_style": "distributed" if depth <= LUT_RAM and not rom else "block"}
