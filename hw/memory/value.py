"""Value memory: the residual stream and everything else that is kept as fixed-point values."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


class ValueMemory(wiring.Component):
    """Words of ``lanes`` values. Rate: a read and a write a cycle.

    Read latency 4: an address register, the memory, its output register, and one more, since the block RAMs lie all
    over the chip. A write is readable by addresses of the next cycle and later; one that comes with the address makes
    the answer undefined.
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
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = ColumnMemory(len(self.i_write_word), self.config.value_words, writable=True)
        address = Signal.like(self.i_address)
        word, later = (Signal.like(self.o_word, reset_less=True, name=name) for name in ("word", "later"))
        write = Signal(data.StructLayout({"valid": 1, "address": len(address), "word": len(word)}))
        m.d.sync += [
            address.eq(self.i_address),
            word.eq(words.o),
            later.eq(word),
            write.valid.eq(self.i_write_valid),
            write.address.eq(self.i_write_address),
            write.word.eq(self.i_write_word),
        ]
        m.d.comb += [
            words.i_enable.eq(1),
            words.i_address.eq(address),
            self.o_word.eq(later),
            words.i_write_valid.eq(write.valid),
            words.i_write_address.eq(write.address),
            words.i_write.eq(write.word),
        ]
        return m
