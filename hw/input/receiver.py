"""Receiver: image bytes become pixels in the image buffer."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.spec.engine import EngineConfig


class Receiver(wiring.Component):
    """Collects image bytes, (y, x, channel) order, into pixels. ``o_pixel`` writes pixel ``o_index``; ``o_full`` is
    set by the last pixel and cleared by ``i_release``; while it is set no byte is taken."""

    def __init__(self, config: EngineConfig) -> None:
        self.image = config.input
        self.pixels = config.input.height * config.input.width
        super().__init__(
            {
                "i_image": In(stream.Signature(8)),
                "i_release": In(1),
                "o_valid": Out(1),
                "o_index": Out(range(max(self.pixels, 2))),
                "o_pixel": Out(8 * config.input.channels),
                "o_full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        channels = self.image.channels
        held = Signal(8 * channels)
        channel = Signal(range(max(channels, 2)))
        index = Signal(range(max(self.pixels, 2)))
        take = self.i_image.valid & self.i_image.ready
        m.d.comb += self.i_image.ready.eq(~self.o_full)
        m.d.comb += [
            self.o_pixel.eq(Cat(held[8:], self.i_image.payload)),
            self.o_valid.eq(take & (channel == channels - 1)),
            self.o_index.eq(index),
        ]
        with m.If(self.i_release):
            m.d.sync += self.o_full.eq(0)
        with m.If(take):
            m.d.sync += [held.eq(self.o_pixel), channel.eq(channel + 1)]
            with m.If(channel == channels - 1):
                m.d.sync += [channel.eq(0), index.eq(index + 1)]
                with m.If(index == self.pixels - 1):
                    m.d.sync += [index.eq(0), self.o_full.eq(1)]
        return m
