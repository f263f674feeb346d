"""A block of processing elements that shares operand and control registers."""

from __future__ import annotations

from amaranth import Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.array.pe import ProcessingElement
from bnnhw.hw.copy import Copy
from bnnhw.spec import engine

CONTROL = data.StructLayout({"valid": 1, "keep": 1, "last": 1})
"""Control of one step: accumulate; do not double; the sum leaves for the drain register."""


class Block(wiring.Component):
    """rows x cols processing elements behind one set of operand registers and one of control registers.

    Rate: one step a cycle. Operands reach the elements one cycle after they came, the controls too: they must come
    ``pe_latency`` cycles after the operands they belong to.

    Parameters
    ----------
    rows, cols
        Elements; small, so that the registers drive few of them.
    depth, acc_width, form
        Of the elements.
    late_next
        i_next goes through a register of the block too.

    Members
    -------
    i_act: rows words. i_weights: cols words, delayed bit by bit as ``pe_skews`` says. i_control. i_next: every drain
    register takes the one below, in the same cycle or, with ``late_next``, in the next. i_below: drain registers of
    the block below, o: of the first row.
    """

    def __init__(
        self, *, rows: int, cols: int, depth: int, acc_width: int, form: engine.Popcount, late_next: bool
    ) -> None:
        self.rows, self.cols, self.depth, self.acc_width, self.form = rows, cols, depth, acc_width, form
        self.late_next = late_next
        counts = data.ArrayLayout(unsigned(acc_width), cols)
        super().__init__(
            {
                "i_act": In(data.ArrayLayout(unsigned(depth), rows)),
                "i_weights": In(data.ArrayLayout(unsigned(depth), cols)),
                "i_control": In(CONTROL),
                "i_next": In(1),
                "i_below": In(counts),
                "o": Out(counts),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act = self._copy(m, "act", self.i_act)
        weights = self._copy(m, "weights", self.i_weights)
        control = self._copy(m, "control", self.i_control)
        drain: Value = self.i_next
        if self.late_next:
            m.submodules.next = late = Copy(1)
            m.d.comb += late.i.eq(self.i_next)
            drain = late.o

        for c in range(self.cols):
            below = self.i_below[c]
            for r in reversed(range(self.rows)):
                m.submodules[f"pe_{r}_{c}"] = pe = ProcessingElement(
                    depth=self.depth, acc_width=self.acc_width, form=self.form
                )
                m.d.comb += [
                    pe.i_act.eq(act[r]),
                    pe.i_weights.eq(weights[c]),
                    pe.i_valid.eq(control.valid),
                    pe.i_keep.eq(control.keep),
                    pe.i_clear.eq(control.last),
                    pe.i_capture.eq(control.last),
                    pe.i_drain.eq(drain),
                    pe.i_below.eq(below),
                ]
                below = pe.o
            m.d.comb += self.o[c].eq(below)
        return m

    @staticmethod
    def _copy(m: Module, name: str, value: data.View) -> data.View:
        """The value a cycle later, in registers of this block's own."""
        m.submodules[name] = copy = Copy(len(value.as_value()))
        m.d.comb += copy.i.eq(value)
        return data.View(value.shape(), copy.o)
