"""Double buffer of weight words between loader and array."""

from __future__ import annotations

from amaranth import Cat, Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


class WeightBuffer(wiring.Component):
    """Two banks of weight words of cols * depth bits, one memory for each group of ``fetch`` columns.

    Rate: one read and one write a cycle. o_read shows the word of i_read two cycles later: every group has address
    registers of its own. What is written in a cycle can be read by addresses of the same cycle.

    Members
    -------
    i_enable: one bit a column group. i_write, i_data: address {word, bank} and the columns of that group.
    i_read, o_read: address {word, bank} and word, cols x depth.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.groups = config.cols // config.fetch
        address = Widths.of(config).weight + 1
        super().__init__(
            {
                "i_enable": In(self.groups),
                "i_write": In(address),
                "i_data": In(config.beat_bits),
                "i_read": In(address),
                "o_read": Out(data.ArrayLayout(unsigned(config.depth), config.cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reads = []
        for g in range(self.groups):
            words = ColumnMemory(self.config.beat_bits, 1 << len(self.i_read), writable=True)
            m.submodules[f"group_{g}"] = words
            m.submodules[f"address_{g}"] = copy = Copy(len(self.i_read))
            m.d.comb += [
                words.i_write_address.eq(self.i_write),
                words.i_write.eq(self.i_data),
                words.i_write_valid.eq(self.i_enable[g]),
                copy.i.eq(self.i_read),
                words.i_enable.eq(1),
                words.i_address.eq(copy.o),
            ]
            reads.append(words.o)
        m.d.comb += self.o_read.eq(Cat(reads))
        return m
