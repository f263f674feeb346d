"""SDRAM scheduler: which command in which cycle, for one burst after another, with start-up and refresh."""

from __future__ import annotations

from enum import IntFlag

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.errors import BnnhwError
from bnnhw.hw.sdram.block import clear_after
from bnnhw.hw.sdram.layouts import granted, operation
from bnnhw.spec.sdram import ALL_BANKS, BURST, Command, SdramPart, SdramTiming, mode_register


class Need(IntFlag):
    """The next command of the burst in hand, one bit each: a comparison would be one more level of logic."""

    NOTHING = 1
    """There is no burst."""
    CLOSE = 2
    """Its bank has another row open."""
    OPEN = 4
    ACCESS = 8


def refresh_period(part: SdramPart, timing: SdramTiming) -> int:
    """Cycles of the refresh timer. Raises BnnhwError for times with which refreshes cannot be kept."""
    period = timing.refresh_period
    start = timing.rp + timing.init_refreshes * timing.rfc + timing.mrd
    if period < start:
        least = start + 1 + timing.postponed
        raise BnnhwError(f"{part.name}: refresh interval must be at least {least} cycles, not {timing.interval}")
    if timing.power_up < 3:
        raise BnnhwError(f"{part.name}: power_up must be at least 3 cycles, not {timing.power_up}")
    return period


class Scheduler(wiring.Component):
    """Makes commands of bursts, strictly in their order. Rows stay open until another row or a refresh closes them.

    Timing rule. A burst is taken over (``i`` moves) in the cycle of the access (READ or WRITE) of the one before, or in
    the first cycle in which it is there. From the next cycle on its close, open and access follow, each in the first
    cycle in which all of these hold; what is not needed is left out:

    - close: ras after the bank's open; 8 after its read; 7 + wr after its write.
    - open: rp after its close; rc after the bank's last open; rrd after any bank's; rfc after a refresh.
    - access: rcd after the open; 8 after any access; a write after a read 8 + cas + turnaround.

    Refresh. More than ``interval`` - ``postponed`` cycles after a refresh none of the above happens any more; all banks
    close in the first cycle in which each may; refresh rp after that and not before rc after any open. Then what is in
    hand is opened again. So two refreshes are never more than ``interval`` cycles apart, whatever the traffic.

    Start: ``power_up`` cycles after reset all banks are closed, then come ``init_refreshes`` refreshes and the mode
    register, each as soon as rp and rfc allow, and mrd later the first open. The outputs show a command one cycle after
    its decision.

    Members
    -------
    i: bursts. i_refresh: the next refresh is due in the next cycle. o: the command. o_read, o_write: it is one;
    o_port: of this port, until the next access. o_started: the chip is set up.
    """

    def __init__(self, *, part: SdramPart, timing: SdramTiming, ports: int) -> None:
        self.part, self.timing, self.ports = part, timing, ports
        self.period = refresh_period(part, timing)
        super().__init__(
            {
                "i": In(stream.Signature(granted(part, ports))),
                "i_refresh": In(1),
                "o": Out(operation(part)),
                "o_read": Out(1),
                "o_write": Out(1),
                "o_port": Out(range(max(ports, 2))),
                "o_started": Out(1),
            }
        )
        names = ("close", "open", "read", "write", "close_all", "refresh", "mode")
        self._do = {name: Signal(name=f"do_{name}") for name in names}
        self._burst = Signal(granted(part, ports))
        self._here = [self._burst.access.bank == bank for bank in range(1 << part.bank_bits)]
        self._due = Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        do, timing = self._do, self.timing
        closing, opening = [], []
        for bank, here in enumerate(self._here):
            closing.append(
                clear_after(
                    m,
                    f"closing_{bank}",
                    (do["open"] & here, timing.ras),
                    (do["read"] & here, BURST),
                    (do["write"] & here, BURST - 1 + timing.wr),
                )
            )
            opening.append(
                clear_after(
                    m,
                    f"opening_{bank}",
                    (do["open"] & here, timing.rc),
                    (do["close"] & here | do["close_all"], timing.rp),
                    (do["refresh"], timing.rfc),
                    (do["mode"], timing.mrd),
                )
            )
        self._phases(m, may_close=Cat(closing).all(), may_open=Cat(opening).all())
        self._bursts(m, Cat(closing), Cat(opening))
        self._outputs(m)
        return m

    def _phases(self, m: Module, *, may_close: Signal, may_open: Signal) -> None:
        """Start-up and refresh."""
        do, timing = self._do, self.timing
        longest = max(self.period, timing.power_up)
        # Counts down to -1, where it stays: its sign says that the time is over. The first command reaches the pins
        # two cycles after its decision, a cycle after that sign.
        left = Signal(range(-longest - 1, longest + 1), init=timing.power_up - 3)
        m.d.comb += self._due.eq(left[-1])
        with m.If(do["refresh"]):
            m.d.sync += left.eq(self.period)
        with m.Elif(self.i_refresh & self.o_started):
            m.d.sync += left.eq(-1)
        with m.Elif(~self._due):
            m.d.sync += left.eq(left - 1)

        first = Signal(range(timing.init_refreshes + 1), init=timing.init_refreshes)
        with m.FSM():
            with m.State("RUN"):
                with m.If(self._due & may_close):
                    m.d.comb += do["close_all"].eq(1)
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(may_open):
                    m.d.comb += do["refresh"].eq(1)
                    with m.If(first == 0):
                        m.next = "RUN"
                    with m.Else():
                        m.d.sync += first.eq(first - 1)
                    with m.If(first == 1):
                        m.next = "MODE"
            with m.State("MODE"):
                with m.If(may_open):
                    m.d.comb += do["mode"].eq(1)
                    m.d.sync += self.o_started.eq(1)
                    m.next = "RUN"

    def _bursts(self, m: Module, closing: Cat, opening: Cat) -> None:
        """Close, open and access for the burst in hand."""
        do, timing, burst = self._do, self.timing, self._burst
        wants = burst.access
        need = Signal(4, init=Need.NOTHING)
        nothing, closes, opens, accesses = need
        opened = clear_after(m, "opened", (do["open"], timing.rcd))
        spaced = clear_after(m, "spaced", (do["open"], timing.rrd))
        reads = clear_after(m, "reads", (do["read"], BURST), (do["write"], BURST))
        writes = clear_after(m, "writes", (do["read"], BURST + timing.cas + timing.turnaround), (do["write"], BURST))
        run = Signal()
        m.d.comb += run.eq(self.o_started & ~self._due)
        may_access = run & accesses & opened & Mux(wants.write, writes, reads)
        m.d.comb += [
            do["close"].eq(run & closes & closing.bit_select(wants.bank, 1)),
            do["open"].eq(run & opens & opening.bit_select(wants.bank, 1) & spaced),
            do["read"].eq(may_access & ~wants.write),
            do["write"].eq(may_access & wants.write),
        ]

        rows = [Signal(self.part.row_bits, name=f"row_{bank}") for bank in range(len(self._here))]
        is_open = Signal(len(self._here))
        for bank, here in enumerate(self._here):
            with m.If(do["close_all"] | do["close"] & here):
                m.d.sync += is_open[bank].eq(0)
            with m.If(do["open"] & here):
                m.d.sync += [is_open[bank].eq(1), rows[bank].eq(wants.row)]

        with m.If(do["close"]):
            m.d.sync += need.eq(Need.OPEN)
        with m.If(do["open"]):
            m.d.sync += need.eq(Need.ACCESS)
        with m.If(do["close_all"] & ~nothing):
            m.d.sync += need.eq(Need.OPEN)
        m.d.comb += self.i.ready.eq(run & (nothing | may_access))
        with m.If(self.i.ready):
            following: data.View = self.i.payload.access
            same = Cat(row == following.row for row in rows)  # all at once: only then which bank it is
            m.d.sync += burst.eq(self.i.payload)
            with m.If(~self.i.valid):
                m.d.sync += need.eq(Need.NOTHING)
            with m.Elif(~is_open.bit_select(following.bank, 1)):
                m.d.sync += need.eq(Need.OPEN)
            with m.Else():
                m.d.sync += need.eq(Mux(same.bit_select(following.bank, 1), Need.ACCESS, Need.CLOSE))
        with m.If(do["read"] | do["write"]):
            m.d.sync += self.o_port.eq(burst.port)

        m.d.sync += self.o.address.eq(Mux(opens, wants.row, wants.column << BURST.bit_length() - 1))

    def _outputs(self, m: Module) -> None:
        do = self._do
        commands = {
            "close": Command.PRECHARGE,
            "open": Command.ACTIVATE,
            "read": Command.READ,
            "write": Command.WRITE,
            "close_all": Command.PRECHARGE,
            "refresh": Command.REFRESH,
            "mode": Command.MODE,
        }
        m.d.sync += [
            self.o.command.eq(
                Cat(Cat(do[name] for name in commands if commands[name] >> bit & 1).any() for bit in range(3))
            ),
            self.o.bank.eq(self._burst.access.bank),
            self.o_read.eq(do["read"]),
            self.o_write.eq(do["write"]),
        ]
        with m.If(do["close"]):
            m.d.sync += self.o.address.eq(0)
        with m.If(do["close_all"]):
            m.d.sync += self.o.address.eq(ALL_BANKS)
        with m.If(do["mode"]):
            m.d.sync += [self.o.address.eq(mode_register(self.timing.cas)), self.o.bank.eq(0)]
