"""Prefetcher: tells the loaders, pass by pass, what to load, one pass ahead of the one in use."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.post.params import param_load
from bnnhw.hw.sequencer.passes import PassWalk
from bnnhw.hw.weights.loader import load_request
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images, load_layout

SHORTEST = 3
"""Cycles from a request to the next, at least."""


class Prefetcher(wiring.Component):
    """Walks the passes of the load words for ever. Pass p is loaded once pass p - 2, whose bank it takes, is retired.

    Members
    -------
    o_weights, o_params: requests. i_weights_loaded, i_params_loaded: pulses, the request is done.
    i_take: a pass's data was taken into use. i_retired: pulse, a pass's last output is stored.
    o_weights_ready, o_params_ready: the next pass to be taken is loaded. o_drained: no pass in use is unfinished.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        super().__init__(
            {
                "o_weights": Out(stream.Signature(load_request(config))),
                "o_params": Out(stream.Signature(param_load(config))),
                "i_weights_loaded": In(1),
                "i_params_loaded": In(1),
                "i_take": In(1),
                "i_retired": In(1),
                "o_weights_ready": Out(1),
                "o_params_ready": Out(1),
                "o_drained": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = load_layout(self.config)
        names = [f.name for f in layout.fields]
        m.submodules.passes = passes = PassWalk(layout, self.images.loads, names, slots=self.config.slots, gap=SHORTEST)
        fetched = passes.o

        held = Signal(2)  # banks being loaded, loaded or in use
        ready = Signal(2)  # passes loaded and not yet taken
        open_ = Signal(2)  # passes taken and not yet retired
        bank, weights_done, params_done = Signal(), Signal(), Signal()
        start, finish = Signal(), Signal()
        m.d.sync += [
            held.eq(held + start - self.i_retired),
            ready.eq(ready + finish - self.i_take),
            open_.eq(open_ + self.i_take - self.i_retired),
        ]
        m.d.comb += self.o_drained.eq(open_ == 0)

        for request in (self.o_weights.payload, self.o_params.payload):
            names = fetched.shape().members.keys() & request.shape().members
            m.d.comb += [request[name].eq(fetched[name]) for name in sorted(names)]
            m.d.comb += request.bank.eq(bank)

        with m.FSM():
            with m.State("START"):
                with m.If(passes.o_valid):
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(held != 2):
                    m.d.comb += [start.eq(1), self.o_params.valid.eq(1), self.o_weights.valid.eq(fetched.weights)]
                    m.d.sync += [weights_done.eq(~fetched.weights), params_done.eq(0)]
                    m.d.comb += passes.i_next.eq(1)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    weights_done.eq(weights_done | self.i_weights_loaded),
                    params_done.eq(params_done | self.i_params_loaded),
                ]
                with m.If(weights_done & params_done):
                    m.d.comb += finish.eq(1)
                    m.d.sync += [bank.eq(~bank), weights_done.eq(0)]
                    m.next = "WAIT"

        # While one of the two is still loading, the other may be ready already: that tells the waits apart.
        m.d.comb += [
            self.o_weights_ready.eq((ready != 0) | weights_done),
            self.o_params_ready.eq(ready != 0),
        ]
        return m
