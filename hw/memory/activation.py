"""Activation memory: one bank of bit words for every row and slot, with copies of halo pixels in neighbouring banks."""

from __future__ import annotations

from amaranth import Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import times
from bnnhw.hw.copy import Copy
from bnnhw.hw.memory.style import style
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
    """rows x slots banks of ``lanes`` bits; all rows are read at the same address, each slot at its own, but where
    they are ``alike``: then neighbouring slots share block RAMs as far as these are wide enough.

    A written pixel of column x' in bank b also goes to bank b + d at column x' - d * strip where that lies in
    -halo_low .. strip + halo_high - 1, for \\|d\\| <= halo_reach.

    Rate: a read and a write a cycle. Read latency 2: every row has address registers of its own. A write is readable
    by addresses ``write_latency`` cycles after i_write_valid.
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

        # First the column and address that the pixel has in each neighbour, then where these are columns of the
        # neighbour's, then which bank takes which.
        pixel, later, last = (Signal(self.i_write.shape(), name=n) for n in ("pixel", "later", "last"))
        valid = Signal()
        is_at = Signal(c.rows)  # the bank, one of many, so that a bank's enable is one look-up
        m.d.sync += [pixel.eq(self.i_write), later.eq(pixel), last.eq(later), valid.eq(self.i_write_valid)]
        m.d.sync += is_at.eq(1 << pixel.bank)
        low, high = Signal(signed(w.tap + 2)), Signal(range(2 << max(w.position, w.tap + 1)))
        m.d.sync += [low.eq(-self.i_write.halo_low), high.eq(self.i_write.strip + self.i_write.halo_high)]
        there, addresses = {}, {}
        for d in reach:
            number = d + c.halo_reach
            there[d] = Signal(name=f"there_{number}")
            addresses[d] = Signal(w.bit_addr, name=f"address_{number}")
            column = Signal(signed(w.position + 3), name=f"column_{number}")
            moved = Signal(w.bit_addr, name=f"moved_{number}")
            m.d.sync += [
                column.eq(self.i_write.column - times(self.i_write.strip, d)),
                moved.eq(self.i_write.address - times(self.i_write.d_strip, d)),
                there[d].eq(valid & (column >= low) & (column < high)),
                addresses[d].eq(moved),
            ]

        for r in range(c.rows):
            address = Signal(w.bit_addr, name=f"write_address_{r}")
            enable = Signal(c.slots, name=f"write_enable_{r}")
            m.d.sync += enable.eq(0)
            for d in reach:
                if 0 <= r - d < c.rows:
                    with m.If(there[d] & is_at[r - d]):
                        m.d.sync += [address.eq(addresses[d]), enable.eq(later.slots)]
            m.submodules[f"read_address_{r}"] = copy = Copy(len(self.i_address.as_value()))
            m.d.comb += copy.i.eq(self.i_address)
            read_addresses = data.View(self.i_address.shape(), copy.o)
            depth, shared = max(c.bit_words, 2), c.bank_slots
            shape = data.ArrayLayout(unsigned(c.lanes), shared)
            for s in range(0, c.slots, shared):
                bank = memory.Memory(shape=shape, depth=depth, init=[], attrs=style(depth, c.lanes))
                m.submodules[f"bank_{r}_{s}"] = bank
                write, read = bank.write_port(granularity=1), bank.read_port()
                m.d.comb += [
                    write.en.eq(enable[s : s + shared]),
                    write.addr.eq(address),
                    write.data.as_value().eq(last.bits.replicate(shared)),
                    read.addr.eq(read_addresses[s]),
                    self.o_bits[r][s * c.lanes : (s + shared) * c.lanes].eq(read.data),
                ]
        return m
