"""Line buffer: rows of the image in a ring of banks; answers with a column of a window, one byte of each row."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.arithmetic import less, times
from bnnhw.hw.delay import chain
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.spec.front import FrontConfig


class LineBuffer(wiring.Component):
    """Row r of an image lies in slot (origin + r) mod ``lines`` of the ring, slot s in bank s mod ``banks``.

    Rate: a byte in and a column of taps out each cycle. Latency: ``latency`` cycles from i_byte to o_taps. Rows above
    the window in use are given back for new ones; the next image's rows follow the last one's.

    Members
    -------
    i_image: bytes in (y, x, channel) order.
    o_ready: the rows of the next window are there. i_row: takes it into use; i_last: with i_row, it is the image's
    last one. Its first i_byte may come two cycles later.
    i_byte: byte of a row (x * channels + channel); i_inside: unless set, the taps are 0.
    o_taps: one for each row of the window, 0 outside the image.
    """

    latency = 5

    def __init__(self, config: FrontConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "o_ready": Out(1),
                "i_row": In(1),
                "i_last": In(1),
                "i_inside": In(1),
                "i_byte": In(config.line_bytes.bit_length()),
                "o_taps": Out(data.ArrayLayout(unsigned(8), config.window.kernel)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        select = (c.banks - 1).bit_length()
        slot, rows_inside, limit = self._window(m)
        low, high = slot[:select], slot[select:]
        writes, write_address, byte = self._receive(m, limit)

        # Stage 1: addresses.
        inside = Signal()
        m.d.sync += inside.eq(self.i_inside)
        found: list[Value] = []
        for b in range(c.banks):
            m.submodules[f"bank_{b}"] = bank = ColumnMemory(8, c.lines // c.banks * c.line_bytes, writable=True)
            row = Signal(len(high), name=f"row_{b}")
            base, address = (Signal.like(bank.i_address, name=f"{name}_{b}") for name in ("base", "address"))
            taken = Signal(8, name=f"byte_{b}")
            m.d.sync += [base.eq(times(row, c.line_bytes)), address.eq(base + self.i_byte), taken.eq(bank.o)]
            m.d.comb += [
                row.eq(high + (low > b)),
                bank.i_enable.eq(1),
                bank.i_address.eq(address),
                bank.i_write_valid.eq(writes[b]),
                bank.i_write_address.eq(write_address),
                bank.i_write.eq(byte),
            ]
            found.append(taken)

        # Stages 2 and 3: the memory and its register. Stages 4 and 5: the banks are turned until the window's first row
        # comes first. The next window may be set meanwhile, so what belongs to this one goes with its bytes.
        ahead = [
            Signal(data.StructLayout({"turn": select, "shown": c.window.kernel}), name=f"ahead_{n}") for n in "234"
        ]
        m.d.sync += [ahead[0].turn.eq(low), ahead[0].shown.eq(Mux(inside, rows_inside, 0))]
        chain(m, ahead)
        for bit in range(select - 1):
            found = _turned(found, ahead[1].turn[bit], 1 << bit)
        half = [Signal(8, name=f"turned_{n}") for n in range(c.banks)]
        m.d.sync += [turned.eq(byte) for turned, byte in zip(half, found, strict=True)]
        rows = _turned(half, ahead[2].turn[-1], c.banks // 2)
        m.d.sync += [
            tap.eq(Mux(shown, row, 0)) for tap, shown, row in zip(self.o_taps, ahead[2].shown, rows, strict=False)
        ]
        return m

    def _window(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Of the window in use: slot of its first row, which rows are inside the image, and the first row that there
        is no room for."""
        c, kernel = self.config, self.config.window.kernel
        ring = (c.lines - 1).bit_length()
        row = signed((c.height + c.lines + kernel).bit_length() + 1)
        pad, stride = c.window.pad, c.window.stride
        # Rows are numbered from the first of the next window's image.
        self._rows = Signal(row)  # complete ones
        top, end = (
            Signal(row, init=-pad),
            Signal(row, init=kernel - pad),
        )  # of the next window: first row, row behind it
        limit = Signal(row, init=c.lines - pad)
        origin, slot, inside = Signal(ring), Signal(ring), Signal(kernel)
        m.d.sync += self.o_ready.eq(~less(self._rows, end) | ~less(self._rows, c.height))
        with m.If(self.i_row):
            m.d.sync += [slot.eq(origin + top), limit.eq(top + c.lines), top.eq(top + stride), end.eq(end + stride)]
            m.d.sync += [inside[dy].eq(~less(top, -dy) & less(top, c.height - dy)) for dy in range(kernel)]
            with m.If(self.i_last):
                m.d.sync += [origin.eq(origin + c.height), top.eq(-pad), end.eq(kernel - pad)]
                m.d.sync += limit.eq(top - c.height + c.lines)
        return slot, inside, limit

    def _receive(self, m: Module, limit: Signal) -> tuple[Signal, Signal, Signal]:
        """Takes bytes while their row's slot is free; (banks that are written, address, value) a cycle later."""
        c = self.config
        select = (c.banks - 1).bit_length()
        slot, at = Signal(range(c.lines)), Signal(range(c.line_bytes))
        base, last = Signal(range(c.lines // c.banks * c.line_bytes)), Signal(init=c.line_bytes == 1)
        banks, address, value = Signal(c.banks), Signal.like(base), Signal(8)
        taken, end, ready = Signal(), Signal(), Signal(init=1)
        over = self._rows - limit
        m.d.comb += [
            self.i_image.ready.eq(ready),
            taken.eq(self.i_image.valid & ready),
            end.eq(taken & last),
        ]
        m.d.sync += ready.eq(over[-1] & ~(end & over.all()))  # -1: room for one more row
        m.d.sync += [
            banks.eq(Mux(taken, 1 << slot[:select], 0)),
            address.eq(base + at),
            value.eq(self.i_image.payload),
        ]
        with m.If(taken):
            m.d.sync += [at.eq(Mux(last, 0, at + 1)), last.eq(Mux(last, c.line_bytes == 1, at == c.line_bytes - 2))]
        with m.If(end):
            m.d.sync += [slot.eq(slot + 1), base.eq(times((slot + 1)[select : len(slot)], c.line_bytes))]
        m.d.sync += self._rows.eq(self._rows + end - Mux(self.i_row & self.i_last, c.height, 0))
        return banks, address, value


def _turned(words: list[Value], turn: Value, by: int) -> list[Value]:
    """The words, or where ``turn`` those ``by`` places further on, in a ring."""
    return [Mux(turn, words[(n + by) % len(words)], word) for n, word in enumerate(words)]
