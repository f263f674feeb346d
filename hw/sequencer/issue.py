"""Issue unit: walks passes, positions and steps of a frame, one step a cycle, and knows why when it does not."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.sequencer.passes import PassWalk
from bnnhw.hw.sequencer.positions import PositionWalk
from bnnhw.hw.sequencer.walk import NestedWalk
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import row_width
from bnnhw.spec.jobs import FETCH_FIELDS, ISSUE_FIELDS, job_layout
from bnnhw.spec.program import POOL, Images, Widths
from bnnhw.spec.timing import POST_SWITCH, job_cycles


def issued_step(config: EngineConfig) -> data.StructLayout:
    """One issued step: address of its step word, and the position it belongs to.

    base: source address of the position. y, x: input row and column of tap (0, 0); x in strip coordinates.
    first, last: first and last step of the tile. bank: half of the weight buffer.
    """
    w = Widths.of(config)
    return data.StructLayout(
        {
            "step": unsigned(w.step),
            "first": 1,
            "last": 1,
            "bank": 1,
            "base": unsigned(w.source),
            "y": signed(w.position + 1),
            "x": signed(w.position + 1),
        }
    )


class Issue(wiring.Component):
    """Plays the program of one frame whenever i_run is set; one step a cycle unless something must be waited for.

    Rate: a step a cycle. The last step of a tile waits until the post-processor, which takes one vector a cycle, will
    be free when that tile's accumulators are captured; nothing behind this unit ever has to stall.

    Members
    -------
    i_run: a frame may start (looked at while idle). i_front: it may not, the front unit still computes. o_start: it
    does, in this cycle. o_done: high in the frame's last cycle.
    i_weights, i_params: the next pass's weights and parameters are loaded; o_take: they were taken into use.
    i_drained: every output of all issued passes is stored; not earlier than ``spec.timing.job_cycles`` after a step.
    o_front_rows: of the current pass; valid with o_take.
    o_valid, o_step: the step issued in this cycle. o_pass: static fields of the current pass, valid one cycle after
    the first step of the pass was issued until one cycle after its last (see ``Fetch``).
    i_permitted: the next row of a job that waits for rows (``spill``) may be issued; o_row: it is, in this cycle;
    o_job: such a job is begun.
    o_cause, o_over: in the next cycle. o_cause: one-hot over the counters but the first, what this cycle of the frame
    was spent on; 0 while idle. o_over: o_done.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        super().__init__(
            {
                "i_run": In(1),
                "i_front": In(1),
                "o_front_rows": Out(row_width(config.front) if config.front else 0),
                "i_weights": In(1),
                "i_params": In(1),
                "i_drained": In(1),
                "o_start": Out(1),
                "o_take": Out(1),
                "o_done": Out(1),
                "o_valid": Out(1),
                "o_step": Out(issued_step(config)),
                "o_pass": Out(struct(job_layout(config).only(FETCH_FIELDS))),
                "i_permitted": In(1),
                "o_row": Out(1),
                "o_job": Out(1),
                "o_cause": Out(len(config.counters) - 1),
                "o_over": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.config
        m.submodules.passes = passes = PassWalk(
            job_layout(c), self.images.jobs, ISSUE_FIELDS, slots=c.slots, gap=job_cycles(c)
        )
        fetched, p = passes.o, Signal(passes.o.shape())
        barrier, final = Signal(), Signal()
        m.d.sync += [self.o_pass[name].eq(p[name]) for name in self.o_pass.shape().members]
        if c.front is not None:
            m.d.comb += self.o_front_rows.eq(p.front_rows)

        m.submodules.walk = walk = PositionWalk(c)
        m.d.comb += [
            walk.i_next.eq(self.o_valid & self.o_step.last),
            walk.i_last_y.eq(fetched.last_y),
            walk.i_last_lx.eq(fetched.last_lx),
            walk.i_last_r.eq(fetched.last_r),
            walk.i_strips.eq(fetched.kind == POOL),
        ]
        self._steps(m, p, fetched, walk)
        self._positions(m, p, fetched, walk)
        cause = {name: Signal(name=f"cause_{name}") for name in c.counters[1:]}
        # All that is counted far away leaves through registers, so that this unit may stay in one place.
        m.d.sync += [self.o_cause.eq(Cat(cause.values())), self.o_over.eq(self.o_done)]
        playing, drained, prepared = Signal(), Signal(), Signal()  # prepared: the next frame's first pass is there
        m.d.sync += [drained.eq(self.i_drained), prepared.eq(passes.o_valid)]
        self._play(m, p, fetched, playing, Mux(walk.i_load, passes.o_first, barrier), walk, cause)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += cause["front"].eq(self.i_front)
                with m.If(self.i_run & prepared):
                    m.d.comb += [cause["pass_"].eq(1), self.o_start.eq(1)]
                    m.next = "SWITCH"
            with m.State("SWITCH"):
                m.d.comb += [cause["pass_"].eq(1), walk.i_load.eq(1), passes.i_next.eq(1)]
                m.d.sync += [p.eq(fetched), barrier.eq(passes.o_first), final.eq(fetched.final & passes.o_last)]
                m.next = "PLAY"
            with m.State("PLAY"):
                m.d.comb += playing.eq(1)
                with m.If(walk.i_next & walk.o_end):
                    m.next = "SWITCH"
                    with m.If(final):
                        m.next = "LAST"
            with m.State("LAST"):  # until ``drained`` knows of the last pass
                m.d.comb += cause["layer"].eq(1)
                m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += cause["layer"].eq(1)
                with m.If(drained):
                    m.d.comb += self.o_done.eq(1)
                    m.next = "IDLE"
        return m

    def _steps(self, m: Module, p: data.View, fetched: data.View, walk: PositionWalk) -> None:
        """The step of each tile, and the half of the weight buffer of each pass."""
        # Whether a step is the last is a register: nothing is compared in the cycle that issues it.
        step = self.o_step
        whole, left = Signal.like(step.step), Signal.like(step.step)  # steps after the first, after this one
        single, count = Signal(), Signal.like(step.step)
        m.d.comb += count.eq(fetched.step_last - fetched.step_first)
        with m.If(walk.i_load):
            m.d.sync += [step.step.eq(fetched.step_first), step.first.eq(1), whole.eq(count), left.eq(count)]
            m.d.sync += [s.eq(fetched.step_last == fetched.step_first) for s in (single, step.last)]
        with m.Elif(self.o_valid):
            m.d.sync += step.first.eq(step.last)
            with m.If(step.last):
                m.d.sync += [step.step.eq(p.step_first), left.eq(whole), step.last.eq(single)]
                with m.If(walk.o_end):
                    m.d.sync += step.bank.eq(~step.bank)
            with m.Else():
                m.d.sync += [step.step.eq(step.step + 1), left.eq(left - 1), step.last.eq(left == 1)]

    def _positions(self, m: Module, p: data.View, fetched: data.View, walk: PositionWalk) -> None:
        """Source address, input row and input column of the position."""
        w = Widths.of(self.config)
        m.submodules.base = base = NestedWalk(unsigned(w.source))
        m.submodules.column = column = NestedWalk(signed(w.position + 1))
        m.d.comb += [
            base.i_move.eq(walk.o_move),
            base.i_base.eq(fetched.base),
            base.i_d_y.eq(p.d_y),
            base.i_d_lx.eq(p.d_lx),
            base.i_d_r.eq(p.d_r),
            self.o_step.base.eq(base.o_address),
            column.i_move.eq(walk.o_move),
            column.i_base.eq(-fetched.pad),
            column.i_d_y.eq(0),
            column.i_d_lx.eq(p.stride),
            column.i_d_r.eq(p.in_strip),
            self.o_step.x.eq(column.o_address),
        ]
        with m.If(walk.o_move.load):
            m.d.sync += self.o_step.y.eq(-fetched.pad)
        with m.Elif(walk.o_move.next & walk.o_move.y):
            m.d.sync += self.o_step.y.eq(self.o_step.y + p.stride)

    def _play(
        self,
        m: Module,
        p: data.View,
        fetched: data.View,
        playing: Signal,
        barrier: Value,
        walk: PositionWalk,
        cause: dict[str, Signal],
    ) -> None:
        """Issues a step, or says what the pass waits for; with ``barrier`` for all outputs before it too."""
        # Whether the pass may play is a register, set in the cycle before: what it depends on lies far
        # away with the loaders, and what depends on it is everywhere.
        opened, waiting, clear = Signal(), Signal(), Signal()
        m.d.comb += [
            waiting.eq(playing & ~opened),
            clear.eq(self.i_weights & self.i_params & (self.i_drained | ~barrier)),
        ]
        m.d.sync += self.o_take.eq((walk.i_load | waiting) & clear)
        with m.If(walk.i_load | waiting):
            m.d.sync += opened.eq(clear)
        with m.Elif(walk.i_next & walk.o_end):
            m.d.sync += opened.eq(0)
        weights, params = Signal(), Signal()
        m.d.sync += [weights.eq(self.i_weights), params.eq(self.i_params)]
        held: Value = Const(0)
        if self.config.spill is not None:
            held = self._rows(m, p, fetched, walk)
            m.d.comb += [cause["spill"].eq(opened & held), self.o_job.eq(self.o_take & barrier & p.spill)]
        pace = p.drain if self.config.front is None else p.pace
        timer = Signal(len(pace) + 1)  # cycles until the post-processor takes another tile
        free = Signal(init=1)  # timer == 0
        m.d.comb += [
            self.o_valid.eq(opened & (free | ~self.o_step.last) & ~held),
            cause["issue"].eq(self.o_valid),
            cause["post"].eq(opened & ~held & ~self.o_valid),
            cause["weights"].eq(waiting & ~weights),
            cause["params"].eq(waiting & weights & ~params),
            cause["layer"].eq(waiting & weights & params),
        ]
        with m.If(walk.i_next):
            m.d.sync += timer.eq(pace + Mux(walk.o_end, POST_SWITCH, 0))
            m.d.sync += free.eq((pace == 0) & (~walk.o_end if POST_SWITCH else 1))
        with m.Elif(~free):
            m.d.sync += [timer.eq(timer - 1), free.eq(timer == 1)]

    def _rows(self, m: Module, p: data.View, fetched: data.View, walk: PositionWalk) -> Value:
        """Whether the step is the first of a row that is not permitted."""
        first = Signal()
        with m.If(walk.i_load):
            m.d.sync += first.eq(fetched.spill)
        with m.Elif(walk.i_next & walk.o_move.y):
            m.d.sync += first.eq(p.spill)
        with m.Elif(self.o_valid):
            m.d.sync += first.eq(0)
        m.d.comb += self.o_row.eq(first & self.o_valid)
        return first & ~self.i_permitted
