"""A memory of block RAMs side by side: cut by bits and never by words, so no multiplexer follows their slow outputs."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.memory.style import style
from bnnhw.spec.memory import column_width


class ColumnMemory(wiring.Component):
    """``depth`` words of ``width`` bits, one read port and, with ``writable``, one write port.

    Rate: a read and a write a cycle. Read latency 1, in cycles with i_enable. A write is readable in the next cycle;
    what a read of the address being written gives is undefined.

    Parameters
    ----------
    init
        First words; the others are 0.

    Members
    -------
    i_enable, i_address, o: the read port. i_write_valid, i_write_address, i_write: the write port.
    """

    def __init__(self, width: int, depth: int, *, init: Sequence[int] = (), writable: bool = False) -> None:
        self.width, self.depth, self.init, self.writable = width, max(depth, 2), tuple(init), writable
        address = range(self.depth)
        members = {"i_enable": In(1), "i_address": In(address), "o": Out(unsigned(width))}
        if writable:
            members |= {"i_write_valid": In(1), "i_write_address": In(address), "i_write": In(unsigned(width))}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = column_width(self.depth)
        kind = style(self.depth, self.width, rom=not self.writable)
        reads = []
        for low in range(0, self.width, step):
            high = min(low + step, self.width)
            words = [word >> low & ((1 << (high - low)) - 1) for word in self.init]
            column = memory.Memory(shape=unsigned(high - low), depth=self.depth, init=words, attrs=kind)
            m.submodules[f"column_{low // step}"] = column
            read = column.read_port()
            m.d.comb += [read.en.eq(self.i_enable), read.addr.eq(self.i_address)]
            reads.append(read.data)
            if self.writable:
                write = column.write_port()
                m.d.comb += [
                    write.en.eq(self.i_write_valid),
                    write.addr.eq(self.i_write_address),
                    write.data.eq(self.i_write[low:high]),
                ]
        m.d.comb += self.o.eq(Cat(reads))
        return m
