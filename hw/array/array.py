"""The output-stationary array: rows x cols processing elements, operands in, rows of finished counts out."""

from __future__ import annotations

from amaranth import C, Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.array.block import CONTROL, Block
from bnnhw.hw.array.pe import pe_latency, pe_skews
from bnnhw.hw.copy import Copy
from bnnhw.hw.delay import chain
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.timing import array_latency

BLOCK = 2
"""Rows and columns of a block: halves the operand registers without driving far."""
GROUP = 2
"""Blocks side by side that share registers between the array's entry and their own."""


class Array(wiring.Component):
    """acc[r][c] = (acc[r][c] << i_shift) + popcount(i_act[r] ^ i_weights[c]), modulo 2**acc_width, in valid cycles.

    With i_last the new value goes to the drain chain and acc starts again at 0; the next valid cycle may follow at
    once. ``latency`` cycles after i_last o_capture is high; ``early`` cycles after o_capture o_counts shows row 0, and
    ``early`` + 1 cycles after a cycle with i_next the next row. o_capture must not come while rows of the tile before
    are still to be asked for.

    Rate: one step a cycle, no back-pressure. The activation sum is one more column with weights of 0: it counts the
    ones of i_act.

    Operands pass an entry register, where each bit gets the delay at which the popcounts take it, a register of a group
    of blocks, so that none crosses the whole array in a cycle, and one in every block of 2 x 2 elements. Control goes
    with them: one register at the end of the pipeline, then one a block.

    Parameters
    ----------
    config
        rows, cols, depth, acc_width, sum_width, popcount.
    early
        0 to 2: how many registers i_next passes on its way to all drain registers; none makes it a long path.

    Members
    -------
    i_act: rows words of depth bits. i_weights: cols words. i_valid, i_shift, i_last: of the same cycle; i_last counts
    only with i_valid.
    o_capture, o_counts, o_sum, i_next: see above; o_sum exists only with sum_width > 0.
    """

    def __init__(self, config: EngineConfig, *, early: int = 0) -> None:
        assert 0 <= early <= 2
        self.config, self.early = config, early
        members = {
            "i_act": In(data.ArrayLayout(unsigned(config.depth), config.rows)),
            "i_weights": In(data.ArrayLayout(unsigned(config.depth), config.cols)),
            "i_valid": In(1),
            "i_shift": In(1),
            "i_last": In(1),
            "i_next": In(1),
            "o_capture": Out(1),
            "o_counts": Out(data.ArrayLayout(unsigned(config.acc_width), config.cols)),
        }
        if config.sum_width:
            members["o_sum"] = Out(config.sum_width)
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from i_last to o_capture."""
        return array_latency(self.config.depth) - self.early

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        act = [self._enter(m, self.i_act[r], f"act_{r}") for r in range(c.rows)]
        weights = [self._enter(m, self.i_weights[i], f"weights_{i}") for i in range(c.cols)]
        control = self._control(m)
        move: Value = self.i_next
        if self.early > 1:
            move = Signal(name="next")
            m.d.sync += move.eq(self.i_next)

        for left in range(0, c.cols, BLOCK):
            cols = range(left, min(left + BLOCK, c.cols))
            if left % (GROUP * BLOCK) == 0:
                near = self._near(m, act, f"act_{left}")
            mine = self._near(m, [weights[i] for i in cols], f"weights_{left}")
            top = self._column(m, f"block_{left}", near, mine, control, move, c.acc_width)
            m.d.comb += [self.o_counts[i].eq(top[i - left]) for i in cols]
        if c.sum_width:
            m.d.comb += self.o_sum.eq(self._column(m, "sum", near, [C(0, c.depth)], control, move, c.sum_width)[0])
        return m

    def _enter(self, m: Module, word: Value, name: str) -> Value:
        """Entry registers of one operand: bit i is delayed by one cycle and its skew."""
        stage = word
        bits: list[Value | None] = [None] * self.config.depth
        skews = pe_skews(self.config.depth)
        for delay in range(max(skews) + 1):
            todo = [i for i in range(self.config.depth) if skews[i] >= delay]
            register = Signal(len(todo), name=f"{name}_{delay}", reset_less=True)
            m.d.sync += register.eq(stage)
            for i, bit in zip(todo, register, strict=True):
                if skews[i] == delay:
                    bits[i] = bit
            stage = Cat(bit for i, bit in zip(todo, register, strict=True) if skews[i] > delay)
        return Cat(bits)

    @staticmethod
    def _near(m: Module, words: list[Value], name: str) -> list[Value]:
        """The words a cycle later, in registers of one group's own."""
        copies = [Copy(len(word)) for word in words]
        for n, (copy, word) in enumerate(zip(copies, words, strict=True)):
            m.submodules[f"{name}_{n}"] = copy
            m.d.comb += copy.i.eq(word)
        return [copy.o for copy in copies]

    def _control(self, m: Module) -> data.View:
        """Control, registered as often as the operands and their counts are before the elements add them."""
        count = 2 + pe_latency(self.config.depth)
        stages = [Signal(CONTROL, name=f"control_{i}") for i in range(count - 1)]
        # The last register says ``last`` while in reset: that clears the accumulators.
        stages.append(Signal(CONTROL, name=f"control_{count - 1}", init={"last": 1}))
        m.d.sync += [
            stages[0].valid.eq(self.i_valid),
            stages[0].keep.eq(~self.i_shift),
            stages[0].last.eq(self.i_valid & self.i_last),
        ]
        chain(m, stages)
        lasts = Signal(self.latency)
        m.d.sync += lasts.eq(Cat(self.i_valid & self.i_last, lasts[:-1]))
        m.d.comb += self.o_capture.eq(lasts[-1])
        return stages[-1]

    def _column(
        self,
        m: Module,
        name: str,
        act: list[Value],
        weights: list[Value],
        control: data.View,
        move: Value,
        width: int,
    ) -> data.View:
        """All blocks of some neighbouring columns, chained; what comes out is row 0's drain registers."""
        c = self.config
        below: Value | data.View = C(0, width * len(weights))
        for first in reversed(range(0, c.rows, BLOCK)):
            rows = act[first : first + BLOCK]
            m.submodules[f"{name}_{first}"] = block = Block(
                rows=len(rows),
                cols=len(weights),
                depth=c.depth,
                acc_width=width,
                form=c.popcount,
                late_next=self.early > 0,
            )
            m.d.comb += [
                block.i_act.eq(Cat(rows)),
                block.i_weights.eq(Cat(weights)),
                block.i_control.eq(control),
                block.i_next.eq(move),
                block.i_below.eq(below),
            ]
            below = block.o
        assert isinstance(below, data.View)
        return below
