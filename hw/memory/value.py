"""Value memory: the residual stream and everything else that is kept as fixed-point values."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Shape, Signal, Value, unsigned
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
        write = Signal(data.StructLayout({"valid": 1, "address": len(address), "word": width}))
        m.d.sync += [
            address.eq(self.i_address),
            write.valid.eq(self.i_write_valid),
            write.address.eq(self.i_write_address),
            write.word.eq(self.i_write_word),
        ]
        found = []
        for first in range(0, depth, size):
            bank = first // size
            m.submodules[f"words_{bank}"] = words = ColumnMemory(width, min(size, depth - first), writable=True)
            word = Signal(width, name=f"word_{bank}", reset_less=True)
            m.d.sync += word.eq(words.o)
            m.d.comb += [
                words.i_enable.eq(1),
                words.i_address.eq(address[:low]),
                words.i_write_valid.eq(write.valid & (write.address[low:] == bank)),
                words.i_write_address.eq(write.address[:low]),
                words.i_write.eq(write.word),
            ]
            found.append(word)
        bank_of = address[low:]
        if self.config.spill is not None:
            bank_of = self._ring(m, self.config.spill, address, bank_of, found)
        chosen, mine = (Signal(range(max(len(found), 2)), name=name) for name in ("chosen", "mine"))
        later = Signal(width, reset_less=True)
        m.d.sync += [chosen.eq(bank_of), mine.eq(chosen), later.eq(Array(found)[mine])]
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
