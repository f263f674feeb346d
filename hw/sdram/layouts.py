"""What goes in and out of the SDRAM controller: its ports, requests, words and pins."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.errors import BnnhwError
from bnnhw.spec.sdram import BURST, READ_WORDS, WRITE_WORDS, SdramPart

WORD = unsigned(16)
WRITE_WORD = data.StructLayout({"data": 16, "enable": 2})
"""A word to write; byte i (bits 8 i to 8 i + 7) is written where bit i of ``enable`` is set, else it stays."""
COMMAND = unsigned(3)
"""A `bnnhw.spec.sdram.Command`, as its pins."""


@dataclass(frozen=True)
class PortConfig:
    """A client of the controller.

    name: of its streams. reads, writes: what it can do. read_words, write_words: depth of its FIFOs, whole bursts. For
    reads in sequence at full rate 32 words are enough; with 64 their room also comes back early enough to leave ports
    of lower priority nothing.
    """

    name: str
    reads: bool = True
    writes: bool = False
    read_words: int = READ_WORDS
    write_words: int = WRITE_WORDS

    def __post_init__(self) -> None:
        if not (self.reads or self.writes):
            raise BnnhwError(f"SDRAM port {self.name} must read or write, not neither")
        for field in ("read_words", "write_words"):
            words = getattr(self, field)
            if words < BURST or words % BURST:
                raise BnnhwError(f"SDRAM port {self.name}: {field} must be a multiple of {BURST}, not {words}")


PORTS = (
    PortConfig("weights"),
    PortConfig("params"),
    PortConfig("maps", writes=True),
    PortConfig("host", writes=True),
)
"""Of an engine whose weights, parameters and large maps lie in SDRAM; the first has the highest priority."""


def request(part: SdramPart) -> data.StructLayout:
    """Bursts ``burst`` to ``burst`` + ``last`` of 8 words each, to be written or read; the first follows the last."""
    return data.StructLayout({"burst": part.burst_bits, "last": part.burst_bits, "write": 1})


def access(part: SdramPart) -> data.StructLayout:
    """One burst. The first three fields are its number, bit for bit."""
    return data.StructLayout(
        {
            "column": part.column_bits - (BURST.bit_length() - 1),
            "bank": part.bank_bits,
            "row": part.row_bits,
            "write": 1,
        }
    )


def granted(part: SdramPart, ports: int) -> data.StructLayout:
    """One burst and the number of its port."""
    return data.StructLayout({"access": access(part), "port": range(max(ports, 2))})


def operation(part: SdramPart) -> data.StructLayout:
    """What the chip is told in a cycle."""
    return data.StructLayout({"command": COMMAND, "bank": part.bank_bits, "address": 13})


class Pins(wiring.Signature):
    """Pins of the chip, active high, seen from the controller; byte masks and data beside the commands they belong to.

    cke, cs, command (ras, cas, we), bank, address, mask (of bytes), o and oe (data out), i (data in).
    """

    def __init__(self, part: SdramPart) -> None:
        super().__init__(
            {
                "cke": Out(1),
                "cs": Out(1),
                "command": Out(COMMAND),
                "bank": Out(part.bank_bits),
                "address": Out(13),
                "mask": Out(2),
                "o": Out(16),
                "oe": Out(1),
                "i": In(16),
            }
        )
