"""Step walker of the front unit: rows, strips, groups, steps and pixels, one product column a cycle."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import less, table
from bnnhw.spec.front import FrontConfig, row_width

CONTROL = data.StructLayout({"valid": 1, "load": 1, "swap": 1, "first": 1, "last": 1})


def step(config: FrontConfig) -> data.StructLayout:
    """One cycle's work. valid: taps are multiplied; load: the weights of output channel ``pixel`` of the next step are
    loaded; swap: the loaded weights are taken into use; first, last: step of a group."""
    return data.StructLayout({"control": CONTROL, "pixel": range(config.columns)})


class FrontWalker(wiring.Component):
    """Starts a row as soon as its lines, room for its results and the memory that they go to are there.

    Rate: a step a cycle; ``spec.front.ROW_CYCLES`` between rows.

    Members
    -------
    i_lines: rows of the image are there. i_room: the results of a row have room. i_limit: pooled rows that may be
    stored. i_stored: pooled rows that have left the ring of those for the SDRAM, which holds two. i_start: pulse,
    another image may begin.
    o_row, o_last_row: a row begins; the image's last. o_idle: waits for i_start. o_starved: for rows of the image.
    o_byte, o_inside: what to read. o_step: what to do with it.
    """

    def __init__(self, config: FrontConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_start": In(1),
                "i_lines": In(1),
                "i_room": In(1),
                "i_limit": In(row_width(config)),
                "i_stored": In(row_width(config)),
                "o_idle": Out(1),
                "o_starved": Out(1),
                "o_row": Out(1),
                "o_last_row": Out(1),
                "o_inside": Out(1),
                "o_byte": Out(config.line_bytes.bit_length()),
                "o_step": Out(step(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        permitted = [c.permitted(pooled) for pooled in range(c.pool_height)]
        row, pooled = Signal(range(c.rows + 1)), Signal(row_width(c))  # pooled rows finished before this row
        needed = Signal(row_width(c))  # of them, free to be stored
        closes = Signal(range(c.rows + c.pool.stride + c.pool.kernel))  # the row that finishes pooled row ``pooled``
        first_close = c.pool.kernel - 1 - c.pool.pad
        last_row = Signal()
        m.d.comb += [last_row.eq(row == c.rows - 1), self.o_last_row.eq(last_row)]

        pixel, sum_, group, strip = (
            Signal(range(max(n, 2)), name=name)
            for n, name in ((c.columns, "pixel"), (c.sums, "step"), (c.groups, "group"), (c.strips, "strip"))
        )
        last = Signal(4)
        sizes = (c.columns, c.sums, c.groups, c.strips)
        m.d.comb += [
            flag.eq(count == size - 1)
            for flag, count, size in zip(last, (pixel, sum_, group, strip), sizes, strict=True)
        ]
        running, priming = Signal(), Signal()
        useful = Signal()
        out = self.o_step
        m.d.comb += [
            useful.eq(sum_ < c.taps if c.sums > c.taps else 1),
            out.pixel.eq(pixel),
            out.control.valid.eq(running & useful),
            out.control.load.eq((running & useful) | priming),
            out.control.swap.eq(running & useful & (pixel == 0)),
            out.control.first.eq(sum_ == 0),
            out.control.last.eq(sum_ == c.taps - 1),
        ]
        self._bytes(m, running, last)
        with m.If(running | priming):
            m.d.sync += pixel.eq(Mux(last[0], 0, pixel + 1))
        with m.If(running & last[0]):
            m.d.sync += sum_.eq(Mux(last[1], 0, sum_ + 1))
            with m.If(last[1]):
                m.d.sync += group.eq(Mux(last[2], 0, group + 1))
                with m.If(last[2]):
                    m.d.sync += strip.eq(Mux(last[3], 0, strip + 1))

        allowed = Signal(init=1)  # i_start came earlier; the first image needs none
        with m.If(self.i_start):
            m.d.sync += allowed.eq(1)
        with m.FSM():
            with m.State("PRIME"):
                m.d.comb += [priming.eq(1), self.o_idle.eq(1)]
                with m.If(last[0]):
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.comb += self.o_idle.eq(1)
                m.d.sync += [row.eq(0), pooled.eq(0), needed.eq(permitted[0]), closes.eq(first_close)]
                with m.If(self.i_start | allowed):
                    m.d.sync += allowed.eq(0)
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.o_starved.eq(~self.i_lines)
                go = self.i_lines & self.i_room & ~less(self.i_limit, needed)
                with m.If(go & ~less(self.i_stored + 1, pooled) if c.spilled else go):
                    m.d.comb += self.o_row.eq(1)
                    m.next = "SET"
            with m.State("SET"):
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                with m.If(last.all()):
                    m.d.sync += row.eq(row + 1)
                    with m.If(row == closes):
                        m.d.sync += [pooled.eq(pooled + 1), closes.eq(closes + c.pool.stride)]
                        m.d.sync += needed.eq(table(pooled, [*permitted[1:], 0], needed.shape()))
                    m.next = "WAIT"
                    with m.If(last_row):
                        m.next = "IDLE"
        return m

    def _bytes(self, m: Module, running: Signal, last: Signal) -> None:
        """Byte of the row that is read: pixel by pixel, from the step's first one."""
        c = self.config
        pace = c.window.stride * c.channels
        before = -c.window.pad * c.channels
        reach = c.strips * c.columns * pace + c.taps
        at, first, strip = (
            Signal(signed(reach.bit_length() + 1), name=name, init=before) for name in ("byte", "first", "strip_first")
        )  # of this pixel, of the step's first pixel, of the strip's first step
        with m.If(running):
            m.d.sync += at.eq(at + pace)
            with m.If(last[0]):
                m.d.sync += [at.eq(first + 1), first.eq(first + 1)]
                with m.If(last[1]):
                    m.d.sync += [at.eq(strip), first.eq(strip)]
                    with m.If(last[2]):
                        following = strip + c.columns * pace
                        m.d.sync += [x.eq(Mux(last[3], before, following)) for x in (at, first, strip)]
        m.d.comb += [self.o_byte.eq(at), self.o_inside.eq(~at[-1] & less(at, c.line_bytes))]
