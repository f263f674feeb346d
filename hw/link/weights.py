"""The weight image being received: how far, and whether it arrived in the memory."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

LOADING = data.StructLayout({"loaded": 1, "failed": 1, "crc": 32})
"""What became of a weight image. loaded: it is in the memory, for good. failed: pulse, what was read back is not it,
and ``crc`` is its CRC-32; the next byte is the first again."""


class WeightReceiver(wiring.Component):
    """Keeps the offset of the next byte and why there is none.

    Parameters
    ----------
    size
        Bytes of the weight image.

    Members
    -------
    accept : In(1), length : In(8)
        A block of so many bytes is taken.
    state : In(LOADING)
    expected : Out
        Offset of the byte that comes next; ``size`` when all are there.
    complete : Out(1)
        All are there.
    failed : Out(1)
        They were all there and are not what was read back; until a block is taken.
    """

    accept: Signal
    length: Signal
    state: data.View
    expected: Signal
    complete: Signal
    failed: Signal

    def __init__(self, *, size: int) -> None:
        self.size = size
        super().__init__(
            {
                "accept": In(1),
                "length": In(8),
                "state": In(LOADING),
                "expected": Out(range(size + 1)),
                "complete": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.complete.eq(self.expected == self.size)
        with m.If(self.state.failed | self.accept):
            m.d.sync += [
                self.failed.eq(self.state.failed),
                self.expected.eq(Mux(self.state.failed, 0, self.expected + self.length)),
            ]
        return m
