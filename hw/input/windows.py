"""Input windows: image bytes in, im2col words of bit planes out, one image ahead of the one being computed."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.copy import Copy
from bnnhw.hw.delay import chain
from bnnhw.hw.input.receiver import Receiver
from bnnhw.hw.input.taps import TAP, TapWalker
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.memory.style import style
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


@dataclass(frozen=True)
class _Chunk:
    """The words of a chunk of taps, one a group of planes; complete where ``load`` is set, by its last ``tap``."""

    words: list[Value]
    load: Value
    tap: data.View


class InputWindows(wiring.Component):
    """Gathers, for every output pixel of the first layer, the bits of its window, plane by plane.

    A tap a cycle is read from the image buffer; after each chunk of taps its ``groups`` words are written, one a
    cycle, to the half of the window memory that is not being computed on. One image takes about
    out_height * out_width * max(taps, chunks * groups) cycles, beside the computation.

    Members
    -------
    i_image: image bytes, see ``Receiver``.
    o_ready: the windows of an image are complete. i_start: they are taken into use; i_done: they are used up.
    i_address: word of all rows' banks, answered in the next cycle at o_windows.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "o_ready": Out(1),
                "i_start": In(1),
                "i_done": In(1),
                "i_address": In(Widths.of(config).input_addr),
                "o_windows": Out(data.ArrayLayout(unsigned(config.depth), config.rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, image = self.config, self.config.input
        m.submodules.receiver = receiver = Receiver(c)
        m.submodules.taps = taps = TapWalker(c)
        wiring.connect(m, wiring.flipped(self.i_image), receiver.i_image)
        m.submodules.image = pixels = ColumnMemory(8 * image.channels, receiver.pixels, writable=True)
        m.d.comb += [
            pixels.i_write_valid.eq(receiver.o_valid),
            pixels.i_write_address.eq(receiver.o_index),
            pixels.i_write.eq(receiver.o_pixel),
            pixels.i_enable.eq(1),
            pixels.i_address.eq(taps.o_address),
        ]

        finished = Signal()
        complete, occupied = Signal(2), Signal(2)  # halves of the window memory
        filling, computing = Signal(), Signal()
        m.d.comb += self.o_ready.eq(complete != 0)
        m.d.sync += [
            complete.eq(complete + finished - self.i_start),
            occupied.eq(occupied + taps.i_begin - self.i_done),
            filling.eq(filling ^ finished),
            computing.eq(computing ^ self.i_done),
        ]

        # The image buffer is free for the next image as soon as its last tap was read; a new image's windows begin
        # when the words of the last one are written.
        gathering = Signal()
        m.d.comb += [
            taps.i_begin.eq(receiver.o_full & ~gathering & (occupied != 2)),
            receiver.i_release.eq(taps.o_valid & taps.i_go & taps.o_tap.end),
        ]
        with m.If(taps.i_begin):
            m.d.sync += gathering.eq(1)
        with m.Elif(finished):
            m.d.sync += gathering.eq(0)

        left = Signal(range(image.groups + 1))  # words of a chunk still to be written
        chunk = self._gather(m, taps, pixels.o, left)
        m.d.comb += finished.eq(self._write(m, chunk, left, filling, computing))
        return m

    def _gather(self, m: Module, taps: TapWalker, pixel: Value, left: Signal) -> _Chunk:
        """Adds the tap that the image buffer answers now to its chunk; holds taps back until the writer is free."""
        image = self.config.input
        asked, asked_valid = Signal(TAP), Signal()  # the tap that the memory answers now; in the next cycle a register
        tap, valid, bits_of = Signal(TAP), Signal(), Signal(8 * image.channels)
        m.d.sync += [asked.eq(taps.o_tap), asked_valid.eq(taps.o_valid & taps.i_go)]
        m.d.sync += [tap.eq(asked), valid.eq(asked_valid), bits_of.eq(pixel)]
        busy = (asked_valid & asked.last) | (valid & tap.last) | (left > 3)
        m.d.comb += taps.i_go.eq(~(taps.o_tap.last & busy))
        used = image.chunk_taps * image.channels
        planes = []
        for plane in range(image.planes):
            held, word = (Signal(used, name=f"{n}_{plane}") for n in ("held", "word"))
            bits = Cat(bits_of[channel * 8 + plane] for channel in range(image.channels))
            bits = Mux(tap.inside, bits, 0)
            rest = Mux(tap.first, Const(0, used), held)[image.channels :]
            m.d.comb += word.eq(Cat(rest, bits[: image.channels]))
            with m.If(valid):
                m.d.sync += held.eq(word)
            planes.append(word)
        planes += [Const(0, used)] * (image.groups * image.parts - image.planes)
        words = [Cat(planes[first : first + image.parts]) for first in range(0, len(planes), image.parts)]
        return _Chunk(words, valid & tap.last, tap)

    def _write(self, m: Module, chunk: _Chunk, left: Signal, filling: Signal, computing: Signal) -> Value:
        """Writes a chunk's words, one a cycle; whether this cycle writes the last word of the image."""
        c, image = self.config, self.config.input
        row_words = image.strip * image.chunks * image.groups
        half = 1 << Widths.of(c).input_addr
        used = len(chunk.words[0])
        out = [Signal(used, name=f"out_{group}") for group in range(image.groups)]
        flags = Signal(TAP)
        bank = Signal(range(max(c.rows, 2)))
        row, address = Signal(range(half)), Signal(range(half))
        writing, last = left != 0, left == 1
        with m.If(writing):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
            chain(m, reversed(out))
            with m.If(last):
                with m.If(flags.end):
                    m.d.sync += [bank.eq(0), row.eq(0), address.eq(0)]
                with m.Elif(flags.row_end):
                    m.d.sync += [bank.eq(0), row.eq(row + row_words), address.eq(row + row_words)]
                with m.Elif(flags.strip_end):
                    m.d.sync += [bank.eq(bank + 1), address.eq(row)]
        with m.If(chunk.load):
            m.d.sync += [left.eq(image.groups), flags.eq(chunk.tap)]
            m.d.sync += [a.eq(b) for a, b in zip(out, chunk.words, strict=True)]
        for r in range(c.rows):
            windows = memory.Memory(shape=unsigned(used), depth=2 * half, init=[], attrs=style(2 * half, used))
            m.submodules[f"bank_{r}"] = windows
            m.submodules[f"address_{r}"] = copy = Copy(len(address) + 1)
            write, port = windows.write_port(), windows.read_port()
            m.d.comb += [
                copy.i.eq(Cat(self.i_address, computing)),
                write.en.eq(writing & (bank == r)),
                write.addr.eq(Cat(address, filling)),
                write.data.eq(out[0]),
                port.addr.eq(copy.o),
                self.o_windows[r].eq(port.data << (c.depth - used)),
            ]
        return last & flags.end
