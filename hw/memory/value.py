"""Value memory: the residual stream and everything else that is kept as fixed-point values."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


class ValueMemory(wiring.Component):
    """Words of ``lanes`` values. Rate: a read and a write a cycle. Read latency 3: an address register, since the block
    RAMs lie all over the chip, the memory, and its output register. A write is readable by addresses of the same cycle
    and later; one that comes a cycle after the address makes the answer undefined."""

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
        word = Signal.like(self.o_word, reset_less=True)
        m.d.sync += [address.eq(self.i_address), word.eq(words.o)]
        m.d.comb += [
            words.i_enable.eq(1),
            words.i_address.eq(address),
            self.o_word.eq(word),
            words.i_write_valid.eq(self.i_write_valid),
            words.i_write_address.eq(self.i_write_address),
            words.i_write.eq(self.i_write_word),
        ]
        return m
