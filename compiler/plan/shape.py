"""What a caller fixes of an engine: the shape of its array, and the limits of the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnnhw.errors import BnnhwError
from bnnhw.spec.engine import Popcount


@dataclass(frozen=True)
class Shape:
    """Shape of the array and its neighbours; see ``spec.engine.EngineConfig`` for the meaning of each.

    Raises BnnhwError where a number is not positive or does not divide what it must divide.
    """

    NOTATION: ClassVar = "ROWSxCOLSxDEPTHxLANES[xFETCH[xFRONT]]"
    """How it is written; FETCH is 1 and FRONT 0 where they are left out."""

    rows: int
    cols: int
    depth: int
    lanes: int
    fetch: int
    front: int = 0
    """Channels at once of a front unit for the image's convolution; 0: the array computes it."""
    popcount: Popcount = Popcount.TREE

    def __post_init__(self) -> None:
        for name, number in self.numbers.items():
            if number < 1 and name != "front":
                raise BnnhwError(f"{name} must be at least 1, not {number}")
        if self.front < 0 or self.front == 1 or self.front % self.lanes:
            raise BnnhwError(f"front must be a multiple of lanes = {self.lanes} and at least 2, or 0, not {self.front}")
        for name, whole in (("lanes", "cols"), ("lanes", "depth"), ("fetch", "cols")):
            part, total = getattr(self, name), getattr(self, whole)
            if total % part:
                raise BnnhwError(f"{name} must divide {whole} = {total}, not be {part}")

    @classmethod
    def parse(cls, text: str) -> Shape:
        """The shape that is written so. Raises BnnhwError where none is."""
        parts = text.split("x")
        if not 4 <= len(parts) <= 6 or not all(part.isdecimal() for part in parts):
            raise BnnhwError(f"shape must be {cls.NOTATION}, such as 8x16x63x16, not '{text}'")
        rows, cols, depth, lanes, fetch, front = map(int, [*parts, *"10"[len(parts) - 4 :]])
        return cls(rows, cols, depth, lanes, fetch, front)

    def __str__(self) -> str:
        numbers = [*self.numbers.values()]
        return "x".join(map(str, numbers if self.front else numbers[:-1]))

    @property
    def numbers(self) -> dict[str, int]:
        """What it is written with, by name."""
        own = {"rows": self.rows, "cols": self.cols, "depth": self.depth, "lanes": self.lanes}
        return own | {"fetch": self.fetch, "front": self.front}

    @property
    def slots(self) -> int:
        """Channel groups reduced in one step."""
        return self.depth // self.lanes

    @property
    def subs(self) -> int:
        """Channel groups computed by one pass."""
        return self.cols // self.lanes


@dataclass(frozen=True)
class Limits:
    """What the engine may use of the chip: LUT4s, 18 kbit block RAMs, 18 x 18 multipliers."""

    lut4: int
    bram18k: int
    dsp: int


__all__ = ["Limits", "Popcount", "Shape"]
