"""Value memory: the residual stream and everything else that is kept as fixed-point values."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.engine import EngineConfig, SpillConfig
from bnnhw.spec.memory import bank_words
from bnnhw.spec.program import Widths


class ValueMemory(wiring.Component):
    """Words of ``lanes`` values, in banks where that saves block RAMs. Rate: a read and a write a cycle.

    Read latency 4: an address register, the memory, its output register, and one more, which takes its bank's word:
    the block RAMs lie all over the chip. A write is readable by addresses of the next cycle and later; one that comes
    with the address makes the answer undefined.

    Of an engine that spills maps it has the ring of loaded rows too, as a bank that i_ring, which comes with i_address,
    selects, with a write port of its own.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        w = Widths.of(config)
        word = unsigned(config.lanes * config.post.value_width)
        super().__init__(
            {
                "i_address": In(w.value_addr),
                "o_word": Out(word),
                "i_write_valid": In(1),
                "i_write_address": In(w.value_addr),
                "i_write_word": In(word),
            }
            | ({} if config.spill is None else _ring(config.spill, word))
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, width = max(self.config.value_words, 2), len(self.i_write_word)
        size = bank_words(depth, width)
        low = (size - 1).bit_length()
        address = Signal.like(self.i_address)
        banks = range(-(-depth // size))
        write = Signal(data.StructLayout({"banks": len(banks), "address": len(address), "word": width}))
        m.d.sync += [
            address.eq(self.i_address),
            write.banks.eq(Cat(self.i_write_valid & (self.i_write_address[low:] == bank) for bank in banks)),
            write.address.eq(self.i_write_address),
            write.word.eq(self.i_write_word),
        ]
        found = []
        for bank in banks:
            m.submodules[f"words_{bank}"] = words = ColumnMemory(width, min(size, depth - bank * size), writable=True)
            word = Signal(width, name=f"word_{bank}", reset_less=True)
            m.d.sync += word.eq(words.o)
            m.d.comb += [
                words.i_enable.eq(1),
                words.i_address.eq(address[:low]),
                words.i_write_valid.eq(write.banks[bank]),
                words.i_write_address.eq(write.address[:low]),
                words.i_write.eq(write.word),
            ]
            found.append(word)
        bank_of = address[low:]
        if self.config.spill is not None:
            bank_of = self._ring(m, self.config.spill, address, bank_of, found)
        # One bit a bank says whose word it is: a register each, so that choosing takes few levels of logic.
        chosen, mine = (Signal(len(found), name=name) for name in ("chosen", "mine"))
        m.d.sync += [chosen.eq(Cat(bank_of == bank for bank in range(len(found)))), mine.eq(chosen)]
        later = Signal(width, reset_less=True)
        gated = [word & bank.replicate(width) for word, bank in zip(found, mine, strict=True)]
        m.d.sync += later.eq(reduce(or_, gated))
        m.d.comb += self.o_word.eq(later)
        return m

    def _ring(self, m: Module, spill: SpillConfig, address: Signal, bank: Value, found: list[Signal]) -> Value:
        """The ring of loaded rows, which becomes the last of the banks ``found``; returns the number of the bank."""
        m.submodules.ring = ring = ColumnMemory(len(self.o_word), spill.load_words, writable=True)
        word, selected = Signal(len(self.o_word), name="word_ring", reset_less=True), Signal()
        m.d.sync += [word.eq(ring.o), selected.eq(self.i_ring)]
        m.d.comb += [
            ring.i_enable.eq(1),
            ring.i_address.eq(address),
            ring.i_write_valid.eq(self.i_load_valid),
            ring.i_write_address.eq(self.i_load_address),
            ring.i_write.eq(self.i_load_word),
        ]
        found.append(word)
        return Mux(selected, len(found) - 1, bank)


def _ring(spill: SpillConfig, word: Shape) -> dict[str, Member]:
    """Ports of the ring of loaded rows."""
    return {
        "i_ring": In(1),
        "i_load_valid": In(1),
        "i_load_address": In(range(spill.load_words)),
        "i_load_word": In(word),
    }
