"""Activation memory: one bank of bit words for every row and slot, with copies of halo pixels in neighbouring banks."""

from __future__ import annotations

from amaranth import Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths
from bnnhw.spec.timing import ACTIVATION_WRITE


def bit_write(config: EngineConfig) -> data.StructLayout:
    """A pixel's ``lanes`` bits for bank ``bank``, column ``column`` at ``address``, and the geometry of its map."""
    w = Widths.of(config)
    return data.StructLayout(
        {
            "slots": config.slots,
            "bank": unsigned(w.row),
            "column": unsigned(w.position),
            "address": unsigned(w.bit_addr),
            "strip": unsigned(w.position),
            "d_strip": unsigned(w.bit_addr),
            "halo_low": unsigned(w.tap + 1),
            "halo_high": unsigned(w.tap + 1),
            "bits": config.lanes,
        }
    )


class ActivationMemory(wiring.Component):
    """rows x slots banks of ``lanes`` bits; all rows are read at the same address, each slot at its own.

    A written pixel of column x' in bank b also goes to bank b + d at column x' - d * strip where that lies in
    -halo_low .. strip + halo_high - 1, for \\|d\\| <= halo_reach.

    Rate: a read and a write a cycle. Read latency 1. A write is readable ``write_latency`` cycles after i_write_valid.
    """

    write_latency = ACTIVATION_WRITE

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        w = Widths.of(config)
        super().__init__(
            {
                "i_address": In(data.ArrayLayout(unsigned(w.bit_addr), config.slots)),
                "o_bits": Out(data.ArrayLayout(unsigned(config.depth), config.rows)),
                "i_write_valid": In(1),
                "i_write": In(bit_write(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, w = self.config, Widths.of(self.config)
        reach = range(-c.halo_reach, c.halo_reach + 1)
        pixel = self.i_write

        # First the column and address that the pixel has in each neighbour, then which bank takes which.
        there, addresses = {}, {}
        for d in reach:
            there[d] = Signal(name=f"there_{d + c.halo_reach}")
            addresses[d] = Signal(w.bit_addr, name=f"address_{d + c.halo_reach}")
            column = Signal(signed(w.position + 3), name=f"column_{d + c.halo_reach}")
            m.d.comb += column.eq(pixel.column - d * pixel.strip)
            inside = (column + pixel.halo_low >= 0) & (column < pixel.strip + pixel.halo_high)
            m.d.sync += [
                there[d].eq(self.i_write_valid & inside),
                addresses[d].eq(pixel.address - d * pixel.d_strip),
            ]
        bank, slots, bits = Signal.like(pixel.bank), Signal.like(pixel.slots), Signal.like(pixel.bits)
        m.d.sync += [bank.eq(pixel.bank), slots.eq(pixel.slots), bits.eq(pixel.bits)]
        late_bits = Signal.like(bits)
        m.d.sync += late_bits.eq(bits)

        for r in range(c.rows):
            address = Signal(w.bit_addr, name=f"write_address_{r}")
            enable = Signal(c.slots, name=f"write_enable_{r}")
            m.d.sync += enable.eq(0)
            for d in reach:
                if 0 <= r - d < c.rows:
                    with m.If(there[d] & (bank == r - d)):
                        m.d.sync += [address.eq(addresses[d]), enable.eq(slots)]
            for s in range(c.slots):
                bank_memory = memory.Memory(shape=unsigned(c.lanes), depth=max(c.bit_words, 2), init=[])
                m.submodules[f"bank_{r}_{s}"] = bank_memory
                write, read = bank_memory.write_port(), bank_memory.read_port()
                m.d.comb += [
                    write.en.eq(enable[s]),
                    write.addr.eq(address),
                    write.data.eq(late_bits),
                    read.addr.eq(self.i_address[s]),
                    self.o_bits[r][s * c.lanes : (s + 1) * c.lanes].eq(read.data),
                ]
        return m
