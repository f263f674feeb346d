"""An engine whose weights and parameters lie in SDRAM: engine, players and controller put together."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from bnnhw.hw.engine import Engine
from bnnhw.hw.memory.player import SdramPlayer
from bnnhw.hw.sdram.controller import SdramController
from bnnhw.hw.sdram.layouts import Pins, PortConfig
from bnnhw.spec.external import ExternalLayout

READERS = (PortConfig("weights"), PortConfig("params"))
"""What is needed next has priority: parameters are few and come early."""


class StreamedEngine(wiring.Component):
    """Members are those of the engine, and ``pins``, of the SDRAM."""

    def __init__(self, engine: Engine) -> None:
        assert engine.config.external is not None
        self.engine, self.setup = engine, engine.config.external
        self.layout = ExternalLayout.of(engine.config, engine.images)
        own = ("i_image", "i_image_abort", "o_scores", "counters")
        members = {name: engine.signature.members[name] for name in own}
        super().__init__(members | {"pins": Out(Pins(self.setup.part))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.memory = memory = SdramController(
            part=self.setup.part, timing=self.setup.timing, configs=READERS, late=self.setup.late
        )
        m.d.sync += memory.i_refresh.eq(engine.o_start)  # all frames see the same refreshes
        connect(m, flipped(self.i_image), engine.i_image)
        connect(m, engine.o_scores, flipped(self.o_scores))
        connect(m, memory.pins, flipped(self.pins))
        m.d.comb += [engine.i_image_abort.eq(self.i_image_abort), self.counters.eq(engine.counters)]
        for name in ("weights", "params"):
            player = SdramPlayer(part=self.setup.part, region=getattr(self.layout, name))
            m.submodules[f"player_{name}"] = player
            connect(m, player.o_request, getattr(memory, f"i_{name}"))
            connect(m, getattr(memory, f"o_{name}"), player.i_words)
            connect(m, player.o, getattr(engine, f"i_{name}"))
        return m
