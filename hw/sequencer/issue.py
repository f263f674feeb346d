"""Issue unit: walks passes, positions and steps of a frame, one step a cycle, and knows why when it does not."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.layouts import struct
from bnnhw.hw.sequencer.walk import NestedWalk
from bnnhw.spec.engine import COUNTERS, EngineConfig
from bnnhw.spec.program import POOL, Images, Widths, pass_layout
from bnnhw.spec.timing import POST_SWITCH

PASS_FIELDS = ("kind", "pool_max", "in_height", "in_width", "in_strip")


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
    i_run: a frame may start (looked at while idle). o_start: it does, in this cycle. o_done: high in the last cycle of a frame.
    i_weights, i_params: the next pass's weights and parameters are loaded; o_take: they were taken into use.
    i_drained: every output of all issued passes is stored.
    o_valid, o_step: the step issued in this cycle. o_pass: static fields of the current pass, valid one cycle after
    the first step of the pass was issued until one cycle after its last (see ``Fetch``).
    o_cause: one-hot over COUNTERS[1:], what this cycle of the frame was spent on; 0 while idle.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        layout = pass_layout(config)
        super().__init__(
            {
                "i_run": In(1),
                "i_weights": In(1),
                "i_params": In(1),
                "i_drained": In(1),
                "o_start": Out(1),
                "o_take": Out(1),
                "o_done": Out(1),
                "o_valid": Out(1),
                "o_step": Out(issued_step(config)),
                "o_pass": Out(struct(layout, PASS_FIELDS)),
                "o_cause": Out(len(COUNTERS) - 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        w = Widths.of(self.config)
        layout = struct(pass_layout(self.config))
        m.submodules.rom = rom = memory.Memory(
            shape=unsigned(layout.size), depth=self.config.passes, init=self.images.passes
        )
        port = rom.read_port()
        fetched = data.View(layout, port.data)
        p = Signal(layout)

        index = Signal(range(max(self.config.passes, 2)))
        m.d.comb += port.addr.eq(index)

        step = Signal(w.step)
        y, lx = Signal(w.position), Signal(w.position)
        r = Signal(w.row)
        row = Signal(signed(w.position + 1))
        first = Signal()
        cleared = Signal()  # the current pass had all it waits for
        timer = Signal(w.drain + 1)
        bank = Signal()

        at_last = Signal()
        load, next_y, next_lx, next_r = Signal(), Signal(), Signal(), Signal()
        go = Signal()
        m.d.comb += at_last.eq(step == p.step_last)

        m.submodules.base = base = NestedWalk(unsigned(w.source))
        m.submodules.column = column = NestedWalk(signed(w.position + 1))
        for walk in (base, column):
            m.d.comb += [
                walk.i_load.eq(load),
                walk.i_next_y.eq(next_y),
                walk.i_next_lx.eq(next_lx),
                walk.i_next_r.eq(next_r),
            ]
        m.d.comb += [
            base.i_base.eq(fetched.base),
            base.i_d_y.eq(p.d_y),
            base.i_d_lx.eq(p.d_lx),
            base.i_d_r.eq(p.d_r),
            column.i_base.eq(-fetched.pad),
            column.i_d_y.eq(0),
            column.i_d_lx.eq(p.stride),
            column.i_d_r.eq(p.in_strip),
        ]

        def switch() -> None:
            """Takes the fetched descriptor into use; the memory then fetches the following one."""
            m.d.comb += load.eq(1)
            m.d.sync += [p.eq(fetched), step.eq(fetched.step_first), first.eq(1), cleared.eq(0)]
            m.d.sync += [y.eq(0), lx.eq(0), r.eq(0), row.eq(-fetched.pad)]
            m.d.sync += index.eq(index + 1)

        m.d.sync += timer.eq(timer - (timer != 0))
        cause = {name: Signal(name=f"cause_{name}") for name in COUNTERS[1:]}
        m.d.comb += self.o_cause.eq(Cat(cause.values()))
        drained = ~p.barrier | self.i_drained

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i_run):
                    m.d.comb += [cause["pass_"].eq(1), self.o_start.eq(1)]
                    m.next = "SWITCH"
            with m.State("SWITCH"):
                switch()
                m.d.comb += cause["pass_"].eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(~cleared & ~self.i_weights):
                    m.d.comb += cause["weights"].eq(1)
                with m.Elif(~cleared & ~self.i_params):
                    m.d.comb += cause["params"].eq(1)
                with m.Elif(~cleared & ~drained):
                    m.d.comb += cause["layer"].eq(1)
                with m.Elif(at_last & (timer != 0)):
                    m.d.comb += cause["post"].eq(1)
                    m.d.sync += cleared.eq(1)
                    m.d.comb += self.o_take.eq(~cleared)
                with m.Else():
                    m.d.comb += [cause["issue"].eq(1), go.eq(1), self.o_take.eq(~cleared)]
                    m.d.sync += [cleared.eq(1), first.eq(at_last), step.eq(step + 1)]
                    with m.If(at_last):
                        m.d.sync += [step.eq(p.step_first), timer.eq(p.drain)]
                        with m.If((r != p.last_r) & (p.kind == POOL)):
                            m.d.sync += r.eq(r + 1)
                            m.d.comb += next_r.eq(1)
                        with m.Elif(lx != p.last_lx):
                            m.d.sync += [r.eq(0), lx.eq(lx + 1)]
                            m.d.comb += next_lx.eq(1)
                        with m.Elif(y != p.last_y):
                            m.d.sync += [r.eq(0), lx.eq(0), y.eq(y + 1), row.eq(row + p.stride)]
                            m.d.comb += next_y.eq(1)
                        with m.Else():
                            m.d.sync += [timer.eq(p.drain + POST_SWITCH), bank.eq(~bank)]
                            with m.If(p.final):
                                m.next = "FINISH"
                            with m.Else():
                                m.next = "SWITCH"
            with m.State("FINISH"):
                m.d.comb += cause["layer"].eq(1)
                with m.If(self.i_drained):
                    m.d.comb += self.o_done.eq(1)
                    m.d.sync += index.eq(0)
                    m.next = "IDLE"

        m.d.comb += [
            self.o_valid.eq(go),
            self.o_step.step.eq(step),
            self.o_step.first.eq(first),
            self.o_step.last.eq(at_last),
            self.o_step.bank.eq(bank),
            self.o_step.base.eq(base.o_address),
            self.o_step.y.eq(row),
            self.o_step.x.eq(column.o_address),
        ]
        m.d.sync += [self.o_pass[name].eq(p[name]) for name in PASS_FIELDS]
        return m
