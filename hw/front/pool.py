"""Max pool of the front unit, fused with the convolution: values of a row one by one, no map is ever stored whole."""

from __future__ import annotations

from amaranth import Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import less, table
from bnnhw.hw.delay import chain
from bnnhw.hw.front.affine import place
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.front import FrontConfig
from bnnhw.spec.network import Window


def pooled_place(config: FrontConfig) -> data.StructLayout:
    """A pooled value's pixel in its row and its channel."""
    return data.StructLayout({"x": range(max(config.pool_width, 2)), "channel": range(config.groups * config.columns)})


class FrontPool(wiring.Component):
    """Maximum over windows whose kernel is the stride or one more: a pixel is in two windows of an axis at most.

    Along the row the running maximum of each channel is kept, down the columns that of each pooled pixel and channel.
    Rate: a value a cycle. Latency: 8 cycles.

    Members
    -------
    i_valid, i_place, i_value: values of a row, the pixels of a channel in order. i_last: the row's last.
    o_valid, o_place, o_value, o_last: pooled values, the pooled row's last.
    """

    def __init__(self, config: FrontConfig) -> None:
        self.config = config
        assert config.pool.kernel - config.pool.stride in (0, 1)
        assert config.columns >= 2
        super().__init__(
            {
                "i_valid": In(1),
                "i_place": In(place(config)),
                "i_last": In(1),
                "i_value": In(signed(config.value_width)),
                "o_valid": Out(1),
                "o_place": Out(pooled_place(config)),
                "o_last": Out(1),
                "o_value": Out(signed(config.value_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        flow = data.StructLayout(
            {"valid": 1, "last": 1, "place": pooled_place(c), "value": signed(c.value_width)},
        )
        out = Signal(flow)
        self._along(m, out)
        self._down(m, out)
        return m

    def _along(self, m: Module, out: data.View) -> None:
        """Maximum along the row; three cycles. A channel comes back after at least two."""
        c = self.config
        channels = c.groups * c.columns
        flow = data.StructLayout(
            {
                "valid": 1,
                "last": 1,
                "channel": range(channels),
                "value": signed(c.value_width),
                "at": position_layout(c.out_width),
            }
        )
        asked, now = Signal(flow), Signal(flow)
        kept = Signal(signed(c.value_width))
        m.d.sync += [
            asked.at.as_value().eq(table(self.i_place.x, *axis(c.out_width, c.pool))),
            asked.valid.eq(self.i_valid),
            asked.last.eq(self.i_valid & self.i_last),
            asked.channel.eq(self.i_place.channel),
            asked.value.eq(self.i_value),
            now.eq(asked),
        ]
        held = memory.Memory(shape=signed(c.value_width), depth=channels, init=[], attrs={"ram_style": "distributed"})
        m.submodules.held = held
        read, write = held.read_port(domain="comb"), held.write_port()
        larger = less(kept, now.value)
        m.d.comb += [
            read.addr.eq(asked.channel),
            write.addr.eq(now.channel),
            write.en.eq(now.valid),
            write.data.eq(Mux(now.at.opens | now.at.first | larger, now.value, kept)),
        ]
        m.d.sync += [
            kept.eq(read.data),
            out.valid.eq(now.valid & now.at.closes & (now.at.window < c.pool_width)),
            out.last.eq(now.last),
            out.place.x.eq(now.at.window),
            out.place.channel.eq(now.channel),
            out.value.eq(Mux(now.at.first | larger, now.value, kept)),
        ]

    def _down(self, m: Module, entry: data.View) -> None:
        """Maximum down the columns; five cycles, fewer than any row takes."""
        c = self.config
        row, at = Signal(range(max(c.rows, 2))), Signal(position_layout(c.rows))
        with m.If(entry.last):
            m.d.sync += row.eq(Mux(row == c.rows - 1, 0, row + 1))
        # Set long before the row's first value, and kept for those on their way after its last.
        m.d.comb += at.as_value().eq(table(row, *axis(c.rows, c.pool)))
        channels = c.groups * c.columns
        m.submodules.rows = rows = ColumnMemory(c.value_width, c.pool_width * channels, writable=True)
        address = rows.i_address.shape()
        shape = data.StructLayout({"entry": entry.shape(), "at": at.shape(), "address": address})
        stages = [Signal(shape, name=f"stage_{n}") for n in range(5)]
        first, found, compared, end = stages[0], *stages[2:]
        m.d.sync += [
            first.entry.eq(entry),
            first.at.eq(at),
            first.address.eq(entry.place.x * channels + entry.place.channel),
        ]
        chain(m, stages)
        kept, old, best, word = (Signal(signed(c.value_width), name=n) for n in ("kept", "old", "best", "word"))
        replaces = Signal()
        value, at = compared.entry.value, compared.at
        m.d.sync += [
            kept.eq(rows.o.as_signed()),
            old.eq(kept),
            replaces.eq(found.at.first | less(kept, found.entry.value)),
            best.eq(Mux(replaces, value, old)),
            word.eq(Mux(replaces | at.opens, value, old)),
        ]
        m.d.comb += [
            rows.i_enable.eq(1),
            rows.i_address.eq(first.address),
            rows.i_write_valid.eq(end.entry.valid),
            rows.i_write_address.eq(end.address),
            rows.i_write.eq(word),
            self.o_valid.eq(end.entry.valid & end.at.closes),
            self.o_place.eq(end.entry.place),
            self.o_value.eq(best),
            self.o_last.eq((end.entry.place.x == c.pool_width - 1) & (end.entry.place.channel == c.outs - 1)),
        ]


def position_layout(size: int) -> data.StructLayout:
    """Of a position along an axis: whether it is the first of its window, ends it, begins the next one too; the number
    of the window."""
    return data.StructLayout({"first": 1, "closes": 1, "opens": 1, "window": unsigned(max(size, 1).bit_length())})


def axis(size: int, window: Window) -> tuple[list[int], Shape]:
    """`position_layout` of every position, as words of a table, and their shape."""
    layout = position_layout(size)
    found = []
    for p in range(size):
        number = max(0, -(-(p + window.pad - window.kernel + 1) // window.stride))  # the first window not before p
        start = number * window.stride - window.pad
        end = min(size - 1, start + window.kernel - 1)
        word = {"first": p == max(0, start), "closes": p == end, "opens": p == end == start + window.stride}
        found.append(layout.const(word | {"window": number}).as_value().value)
    return found, unsigned(layout.size)
