"""Processing element: popcount, accumulator that can double itself, and one link of the drain chain."""

from __future__ import annotations

from amaranth import Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.popcount import ccu2c
from bnnhw.hw.popcount.popcount import Popcount
from bnnhw.hw.popcount.tree import skews
from bnnhw.spec import engine
from bnnhw.spec.timing import popcount_levels


def pe_latency(depth: int) -> int:
    """Cycles from the operand bits of skew 0 at a PE to the cycle in which its accumulator adds their count."""
    return popcount_levels(depth - 1)


def pe_skews(depth: int) -> tuple[int, ...]:
    """For each operand bit, how many cycles after those of skew 0 a PE takes it."""
    return (*skews(depth - 1), pe_latency(depth))


class ProcessingElement(wiring.Component):
    """One element of the array.

    In a cycle with i_valid: sum = acc * (1 if i_keep else 2) + popcount(i_act ^ i_weights), modulo 2**acc_width; acc
    becomes sum, or 0 with i_clear. i_capture puts sum into the drain register, else i_drain puts i_below there.
    The last product is the accumulator's carry-in, so the popcount counts depth - 1 of them.

    Rate: one operand pair a cycle. Operand bits must come with the delays of ``pe_skews``; controls belong to the
    operands of ``pe_latency`` cycles before. The drain register shows the sum one cycle after i_capture.

    Parameters
    ----------
    depth
        Bits of an operand.
    acc_width
        Bits of the accumulator.
    form
        Form of popcount and accumulator.

    Members
    -------
    i_act, i_weights: operands. i_valid, i_keep, i_clear, i_capture, i_drain: controls.
    i_below: drain register of the row below. o: drain register.
    """

    def __init__(self, *, depth: int, acc_width: int, form: engine.Popcount) -> None:
        self.depth, self.acc_width, self.form = depth, acc_width, form
        super().__init__(
            {
                "i_act": In(depth),
                "i_weights": In(depth),
                "i_valid": In(1),
                "i_keep": In(1),
                "i_clear": In(1),
                "i_capture": In(1),
                "i_drain": In(1),
                "i_below": In(acc_width),
                "o": Out(acc_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count: Value | None = None
        if self.depth > 1:
            m.submodules.popcount = popcount = Popcount(products=self.depth - 1, form=self.form)
            m.d.comb += [popcount.i_act.eq(self.i_act[:-1]), popcount.i_weights.eq(self.i_weights[:-1])]
            count = popcount.o

        acc = Signal(self.acc_width, reset_less=True)
        total = Signal(self.acc_width)
        drain = Signal(self.acc_width, reset_less=True)
        match self.form:
            case engine.Popcount.TREE:
                last = self.i_act[-1] ^ self.i_weights[-1]
                m.d.comb += total.eq(Mux(self.i_keep, acc, acc << 1) + (last if count is None else count + last))
            case engine.Popcount.CARRY:
                m.submodules.chain = self._chain(m, count, acc, total)

        with m.If(self.i_clear):
            m.d.sync += acc.eq(0)
        with m.Elif(self.i_valid):
            m.d.sync += acc.eq(total)
        with m.If(self.i_capture | self.i_drain):
            m.d.sync += drain.eq(Mux(self.i_capture, total, self.i_below))
        m.d.comb += self.o.eq(drain)
        return m

    def _chain(self, m: Module, count: Value | None, acc: Signal, total: Signal) -> Elaboratable:
        """Adder of count and acc or acc << 1, without a multiplexer in front of it: see `ccu2c.accumulate`."""
        width = 0 if count is None else len(count)
        halves = [ccu2c.inject(self.i_act[-1], self.i_weights[-1])]
        for i in range(self.acc_width):
            net = Signal(name=f"total_{i}")
            m.d.comb += total[i].eq(net)
            addend = count[i] if count is not None and i < width else None
            halves.append(ccu2c.accumulate(addend, acc[i], acc[i - 1] if i else None, self.i_keep, net))
        return ccu2c.CarryChain(halves)
