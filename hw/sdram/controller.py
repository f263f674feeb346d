"""SDRAM controller: ports of fixed priority in front of one scheduler, registers at all pins behind it."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.errors import BnnhwError
from bnnhw.hw.sdram.arbiter import Arbiter
from bnnhw.hw.sdram.data_path import ReadPath, WritePath
from bnnhw.hw.sdram.layouts import PORTS, WORD, WRITE_WORD, Pins, PortConfig, request
from bnnhw.hw.sdram.port import ClientPort
from bnnhw.hw.sdram.scheduler import Scheduler
from bnnhw.spec.sdram import SdramPart, SdramSetup, SdramTiming


def check(configs: Sequence[PortConfig], late: int) -> None:
    """Raises BnnhwError for ports and delays that no controller can have."""
    names = [config.name for config in configs]
    if not names or len(set(names)) < len(names):
        raise BnnhwError(f"SDRAM ports must be one or more of different names, not {names}")
    if late < 0:
        raise BnnhwError(f"SDRAM: late must be at least 0 cycles, not {late}")


class SdramController(wiring.Component):
    """Words in and out of one 16-bit SDR SDRAM in bursts of 8, for several clients.

    Clients. A request names whole bursts (`layouts.request`); its words follow as streams of their own, read words in
    ``o_<port>``, words to write in ``i_<port>_words`` (before, with or after the request), both in the order of the
    port's requests. Bursts of all ports are served one by one, at each choice that of the first port in ``configs``
    that can be served: a read once the port has room for its words, a write once all its words are there. So a client
    that stops holds up only itself, and the streams are independent but for time.

    Order. What is granted first is done first. A port sees its own writes; another's once that port's busy output was
    low with the request taken.

    Rate: a word a cycle in either direction while rows are open or change from bank to bank (reads in sequence: all
    cycles but ``refresh_cycles`` in each refresh interval); a write after a read costs cas + turnaround cycles.

    Timing rule; all follows from the cycles of the streams. A burst is offered from the first cycle on that is 2 after
    its request was taken (the first) or the burst before it was granted (the others), and 3 after the word that made
    its room was taken from ``o_<port>``, or that completed its data came in ``i_<port>_words``. It is granted in the
    first cycle in which no port before it offers one and no granted burst waits for the scheduler; it is with the
    scheduler from the next cycle on, and `Scheduler`'s rule goes on from there. Access decided in cycle c: its command
    is at the pins in c + 2, with the first word of a write; words read are at an empty ``o_<port>`` from c +
    ``read_latency`` on.

    Pins are registers, those of commands, addresses, masks and data out without logic behind, those of data in without
    logic before. No output depends on the data pins in the same cycle.

    Parameters
    ----------
    part, timing
        The chip, and its times in cycles of this clock (``replace`` shortens power_up for simulation).
    configs
        The ports, highest priority first.
    late
        Cycles by which read data reaches the pins' inputs later than the data sheet says: registers in the pins'
        cells, or a chip whose clock comes late.

    Members
    -------
    For each port: i_<port>, requests; o_<port>, words read; i_<port>_words, words to write; o_<port>_busy, a request is
    not granted to its end. o_started: the chip is set up (requests may come before). i_refresh: the next refresh is due
    at once, so that what follows does not depend on when the last one was. pins: see `layouts.Pins`.
    """

    def __init__(
        self, *, part: SdramPart, timing: SdramTiming, configs: Sequence[PortConfig] = PORTS, late: int = 0
    ) -> None:
        check(configs, late)
        self.part, self.timing, self.configs, self.late = part, timing, tuple(configs), late
        members = {"pins": Out(Pins(part)), "o_started": Out(1), "i_refresh": In(1)}
        for config in configs:
            members[f"i_{config.name}"] = In(stream.Signature(request(part)))
            members[f"o_{config.name}_busy"] = Out(1)
            if config.reads:
                members[f"o_{config.name}"] = Out(stream.Signature(WORD))
            if config.writes:
                members[f"i_{config.name}_words"] = In(stream.Signature(WRITE_WORD))
        super().__init__(members)

    @property
    def read_latency(self) -> int:
        """Cycles from the decision to read to the first word at an empty port's output."""
        return SdramSetup(self.part, self.timing, self.late).read_latency

    @property
    def refresh_cycles(self) -> int:
        """Cycles without a word that a refresh costs reads in sequence, at most."""
        t = self.timing
        return t.rp + t.rfc + t.rcd

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self.configs)
        m.submodules.arbiter = arbiter = Arbiter(part=self.part, ports=count)
        m.submodules.scheduler = scheduler = Scheduler(part=self.part, timing=self.timing, ports=count)
        m.submodules.write_path = writes = WritePath(ports=count)
        m.submodules.read_path = reads = ReadPath(timing=self.timing, ports=count, late=self.late)
        connect(m, arbiter.o, scheduler.i)
        m.d.comb += [
            self.o_started.eq(scheduler.o_started),
            scheduler.i_refresh.eq(self.i_refresh),
            writes.i_start.eq(scheduler.o_write),
            writes.i_port.eq(scheduler.o_port),
            reads.i_start.eq(scheduler.o_read),
            reads.i_port.eq(scheduler.o_port),
            reads.i.eq(self.pins.i),
        ]
        self._pins(m, scheduler, writes)
        for number, config in enumerate(self.configs):
            name = config.name
            m.submodules[f"port_{name}"] = port = ClientPort(part=self.part, config=config)
            connect(m, flipped(getattr(self, f"i_{name}")), port.i)
            connect(m, port.o_access, arbiter.i[number])
            m.d.comb += getattr(self, f"o_{name}_busy").eq(port.o_busy)
            if config.reads:
                m.d.comb += [port.i_word.eq(reads.o), port.i_word_valid.eq(reads.o_valid[number])]
                connect(m, port.o, flipped(getattr(self, f"o_{name}")))
            if config.writes:
                m.d.comb += [
                    writes.i_words[number].eq(port.o_write_word),
                    port.i_write_taken.eq(writes.o_taken[number]),
                ]
                connect(m, flipped(getattr(self, f"i_{name}_words")), port.i_words)
        return m

    def _pins(self, m: Module, scheduler: Scheduler, writes: WritePath) -> None:
        """One register for each pin, the outputs' as the chip must see them from the first cycle on."""
        pins = {name: Signal.like(getattr(self.pins, name), name=f"pin_{name}") for name in Pins(self.part).members}
        pins["mask"] = Signal(2, init=0b11, name="pin_mask")
        del pins["i"]
        m.d.comb += [getattr(self.pins, name).eq(register) for name, register in pins.items()]
        m.d.sync += [
            pins["cke"].eq(1),
            pins["cs"].eq(1),
            pins["command"].eq(scheduler.o.command),
            pins["bank"].eq(scheduler.o.bank),
            pins["address"].eq(scheduler.o.address),
            pins["o"].eq(writes.o.data),
            pins["oe"].eq(writes.o_enable),
        ]
        # Not before the chip is set up may the masks fall; a read is never masked.
        with m.If(scheduler.o_started):
            mask = Signal(2)
            m.d.comb += mask.eq(~writes.o.enable)
            m.d.sync += pins["mask"].eq(mask & writes.o_enable.replicate(2))
