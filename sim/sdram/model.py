"""The simulated SDRAM chip: an Amaranth component, so that it can be simulated in Python and as Verilog."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Assert, Cat, Format, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.sdram.layouts import Pins
from bnnhw.sim.sdram.burst import BurstTracker
from bnnhw.sim.sdram.checker import SdramChecker
from bnnhw.sim.sdram.rules import Rule
from bnnhw.spec.sdram import SdramPart, SdramTiming


class SdramModel(wiring.Component):
    """All words of ``part`` behind its pins, and a checker. The chip's clock is the controller's.

    A command at the pins in cycle c takes effect at its end; a read's words are at ``pins.i`` from c + cas on. In
    cycles (and bytes) that the chip does not drive, ``pins.i`` is noise. Words are stored by word address
    (`SdramPart`).

    The first broken rule, its bank and its cycle since reset stay at the outputs; with ``stops`` a simulation also
    fails, with them in the message.

    Members
    -------
    pins: of the chip. o_error, o_error_bank, o_error_cycle: as said.
    """

    def __init__(self, *, part: SdramPart, timing: SdramTiming, words: Sequence[int] = (), stops: bool = True) -> None:
        self.part, self.timing, self.stops = part, timing, stops
        self.memory = memory.Memory(shape=16, depth=part.words, init=words)
        super().__init__(
            {
                "pins": In(Pins(part)),
                "o_error": Out(Rule),
                "o_error_bank": Out(part.bank_bits),
                "o_error_cycle": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins = self.pins
        m.submodules.bursts = bursts = BurstTracker(part=self.part)
        m.submodules.checker = checker = SdramChecker(part=self.part, timing=self.timing)
        m.d.comb += [
            bursts.i_valid.eq(pins.cke & pins.cs),
            bursts.i_command.eq(pins.command),
            bursts.i_bank.eq(pins.bank),
            bursts.i_address.eq(pins.address),
        ]
        drives = self._words(m, bursts, checker)
        for name in ("cke", "cs", "command", "bank", "address", "mask", "oe"):
            m.d.comb += getattr(checker, f"i_{name}").eq(getattr(pins, name))
        m.d.comb += [
            checker.i_drives.eq(drives),
            checker.i_writes.eq(bursts.o_write),
            checker.i_burst_bank.eq(bursts.o_bank),
            checker.i_cut.eq(bursts.o_cut),
        ]

        cycle = Signal(32)
        m.d.sync += cycle.eq(cycle + 1)
        with m.If((self.o_error == Rule.NONE) & (checker.o_rule != Rule.NONE)):
            m.d.sync += [
                self.o_error.eq(checker.o_rule),
                self.o_error_bank.eq(checker.o_bank),
                self.o_error_cycle.eq(cycle),
            ]
        if self.stops:
            message = Format(
                "SDRAM: {} broken in cycle {}, bank {}", Format.Enum(checker.o_rule, Rule), cycle, checker.o_bank
            )
            m.d.sync += Assert(checker.o_rule == Rule.NONE, message)
        return m

    def _words(self, m: Module, bursts: BurstTracker, checker: SdramChecker) -> Signal:
        """The memory and the way of its words to the pins; returns when the chip drives them."""
        m.submodules.memory = self.memory
        write, read = self.memory.write_port(granularity=8), self.memory.read_port()
        address = Cat(bursts.o_column, bursts.o_bank, checker.o_row)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.pins.o),
            write.en.eq(Mux(bursts.o_write, ~self.pins.mask, 0)),
            read.addr.eq(address),
        ]
        word, valid = read.data, Signal()
        m.d.sync += valid.eq(bursts.o_read)
        for stage in range(self.timing.cas - 1):
            next_word, next_valid = Signal(16, name=f"word_{stage}"), Signal(name=f"valid_{stage}")
            m.d.sync += [next_word.eq(word), next_valid.eq(valid)]
            word, valid = next_word, next_valid

        noise = Signal(16, init=0xACE1)  # a linear feedback shift register
        m.d.sync += noise.eq(Cat(noise[1:], noise[0] ^ noise[2] ^ noise[3] ^ noise[5]))
        masks = [self.pins.mask]
        for stage in range(2):
            masks.append(Signal(2, name=f"mask_{stage}"))
            m.d.sync += masks[-1].eq(masks[-2])
        m.d.comb += [
            self.pins.i[8 * byte : 8 * byte + 8].eq(
                Mux(valid & ~masks[-1][byte], word[8 * byte : 8 * byte + 8], noise[8 * byte : 8 * byte + 8])
            )
            for byte in range(2)
        ]
        m.d.comb += checker.i_read_masked.eq(valid & masks[-1].any())
        return valid
