"""Tap walker: visits the taps of every output pixel's window in the image."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig

TAP = data.StructLayout(
    {
        "inside": 1,  # of the image; other taps are zero
        "first": 1,  # of its chunk
        "last": 1,  # of its chunk
        "strip_end": 1,  # last of its chunk, and the next output pixel belongs to another strip
        "row_end": 1,  # last of its chunk, and of the output row
        "end": 1,  # last of the image
    }
)


class TapWalker(wiring.Component):
    """One tap a cycle while ``i_go`` is set, from ``i_begin`` on: output pixels row by row, each window row by row.

    Members
    -------
    i_begin: start at the first tap (looked at while idle). i_go: the shown tap is taken.
    o_valid, o_tap, o_address: the tap and the index of its pixel (any, when outside).
    """

    def __init__(self, config: EngineConfig) -> None:
        self.image = config.input
        pixels = self.image.height * self.image.width
        super().__init__(
            {
                "i_begin": In(1),
                "i_go": In(1),
                "o_valid": Out(1),
                "o_tap": Out(TAP),
                "o_address": Out(unsigned(max(pixels - 1, 1).bit_length())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        image = self.image
        reach = max(image.height, image.width) + 2 * image.kernel + image.stride
        position = signed(reach.bit_length() + 2)
        oy, ox = Signal(range(max(image.out_height, 2))), Signal(range(max(image.out_width, 2)))
        lx = Signal(range(max(image.strip, 2)))
        ky, kx = Signal(range(max(image.kernel, 2))), Signal(range(max(image.kernel, 2)))
        in_chunk = Signal(range(max(image.chunk_taps, 2)))
        top, left, y, x = (Signal(position, name=n) for n in ("top", "left", "y", "x"))
        line = Signal(signed(position.width + image.width.bit_length()))  # y * width of tap row ky
        top_line = Signal.like(line)

        last_tap, row_end = Signal(), Signal()
        tap = self.o_tap
        m.d.comb += [
            y.eq(top + ky),
            x.eq(left + kx),
            last_tap.eq((ky == image.kernel - 1) & (kx == image.kernel - 1)),
            row_end.eq(last_tap & (ox == image.out_width - 1)),
            tap.inside.eq((y >= 0) & (y < image.height) & (x >= 0) & (x < image.width)),
            tap.first.eq(in_chunk == 0),
            tap.last.eq(last_tap | (in_chunk == image.chunk_taps - 1)),
            tap.row_end.eq(row_end),
            tap.strip_end.eq(row_end | (last_tap & (lx == image.strip - 1))),
            tap.end.eq(row_end & (oy == image.out_height - 1)),
            self.o_address.eq(line + x),
        ]
        with m.If(~self.o_valid):
            m.d.sync += [s.eq(0) for s in (oy, ox, lx, ky, kx, in_chunk)]
            m.d.sync += [top.eq(-image.pad), left.eq(-image.pad)]
            m.d.sync += [line.eq(-image.pad * image.width), top_line.eq(-image.pad * image.width)]
            m.d.sync += self.o_valid.eq(self.i_begin)
        with m.Elif(self.i_go):
            m.d.sync += [in_chunk.eq(Mux(tap.last, 0, in_chunk + 1)), kx.eq(kx + 1)]
            with m.If(kx == image.kernel - 1):
                m.d.sync += [kx.eq(0), ky.eq(ky + 1), line.eq(line + image.width)]
            with m.If(last_tap):
                m.d.sync += [ky.eq(0), line.eq(top_line), ox.eq(ox + 1), left.eq(left + image.stride)]
                m.d.sync += lx.eq(Mux(lx == image.strip - 1, 0, lx + 1))
            with m.If(row_end):
                next_line = top_line + image.stride * image.width
                m.d.sync += [ox.eq(0), lx.eq(0), left.eq(-image.pad), oy.eq(oy + 1), top.eq(top + image.stride)]
                m.d.sync += [line.eq(next_line), top_line.eq(next_line)]
            with m.If(tap.end):
                m.d.sync += self.o_valid.eq(0)
        return m
