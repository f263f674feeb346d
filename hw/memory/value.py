"""Value memory: the residual stream and everything else that is kept as fixed-point values."""

from __future__ import annotations

from amaranth import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


class ValueMemory(wiring.Component):
    """Words of ``lanes`` values. Rate: a read and a write a cycle. Read latency 1; a write is readable in the next
    cycle, a read of the address being written gives the old word."""

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
        m.submodules.words = words = memory.Memory(
            shape=self.i_write_word.shape(), depth=max(self.config.value_words, 2), init=[]
        )
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            read.addr.eq(self.i_address),
            self.o_word.eq(read.data),
            write.en.eq(self.i_write_valid),
            write.addr.eq(self.i_write_address),
            write.data.eq(self.i_write_word),
        ]
        return m
