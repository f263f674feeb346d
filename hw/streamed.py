"""An engine whose weights and parameters lie in SDRAM: engine, players, boot and controller put together."""

from __future__ import annotations

from amaranth import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.boot import PORT, Boot
from bnnhw.hw.engine import Engine
from bnnhw.hw.link.weights import LOADING
from bnnhw.hw.memory.player import SdramPlayer
from bnnhw.hw.sdram.controller import SdramController
from bnnhw.hw.sdram.layouts import Pins, PortConfig
from bnnhw.spec.external import ExternalLayout

READERS = (PortConfig("weights"), PortConfig("params"))
"""What is needed next has priority: parameters are few and come early."""
FRONT = PortConfig("front", reads=False, writes=True)
LOAD, STORE = PortConfig("load"), PortConfig("store", reads=False, writes=True)


def ports(engine: Engine, preloaded: bool) -> tuple[PortConfig, ...]:
    """Of the controller, the first in priority first. The front unit stores little, and must not wait for long."""
    found = list(READERS)
    if engine.config.spill is not None:
        found += [FRONT] if engine.images.front_store is not None else []
        found += [LOAD, STORE]
    return tuple(found if preloaded else [*found, PORT])


class StreamedEngine(wiring.Component):
    """Members are those of the engine, and ``pins``, of the SDRAM; ``i_weights`` and ``loading``, of `Boot`.

    The streams begin when the memory is loaded. With ``preloaded`` it is from the beginning (a simulation's chip), and
    there is no boot.
    """

    def __init__(self, engine: Engine, *, preloaded: bool = False) -> None:
        assert engine.config.external is not None
        self.engine, self.setup, self.preloaded = engine, engine.config.external, preloaded
        self.layout = ExternalLayout.of(engine.config, engine.images)
        members = {name: engine.signature.members[name] for name in ("i_image", "o_scores", "counters")}
        members["pins"] = Out(Pins(self.setup.part))
        if not preloaded:
            members |= {"i_weights": In(stream.Signature(8)), "loading": Out(LOADING)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.memory = memory = SdramController(
            part=self.setup.part,
            timing=self.setup.timing,
            configs=ports(self.engine, self.preloaded),
            late=self.setup.late,
        )
        m.d.sync += memory.i_refresh.eq(engine.o_start)  # all frames see the same refreshes
        connect(m, flipped(self.i_image), engine.i_image)
        connect(m, engine.o_scores, flipped(self.o_scores))
        connect(m, memory.pins, flipped(self.pins))
        m.d.comb += self.counters.eq(engine.counters)
        if not self.preloaded:
            loaded = self._boot(m, memory)
        for name in ("weights", "params"):
            player = SdramPlayer(part=self.setup.part, region=getattr(self.layout, name))
            m.submodules[f"player_{name}"] = player
            if not self.preloaded:
                m.d.comb += player.i_play.eq(loaded)
            connect(m, player.o_request, getattr(memory, f"i_{name}"))
            connect(m, getattr(memory, f"o_{name}"), player.i_words)
            connect(m, player.o, getattr(engine, f"i_{name}"))
        if engine.config.spill is not None:
            self._spill(m, engine, memory)
        return m

    def _spill(self, m: Module, engine: Engine, memory: SdramController) -> None:
        """Ports for rows of spilled maps."""
        connect(m, engine.o_load, memory.i_load)
        connect(m, memory.o_load, engine.i_load_words)
        for name in ("store", "front") if engine.images.front_store is not None else ("store",):
            connect(m, getattr(engine, f"o_{name}"), getattr(memory, f"i_{name}"))
            connect(m, getattr(engine, f"o_{name}_words"), getattr(memory, f"i_{name}_words"))
            m.d.comb += getattr(engine, f"i_{name}_busy").eq(getattr(memory, f"o_{name}_busy"))

    def _boot(self, m: Module, memory: SdramController) -> Value:
        """Returns whether the memory is loaded."""
        image = self.layout.image(self.engine.images)
        m.submodules.boot = boot = Boot(part=self.setup.part, image=image)
        connect(m, flipped(self.i_weights), boot.i)
        connect(m, boot.o_request, memory.i_host)
        connect(m, boot.o_words, memory.i_host_words)
        connect(m, memory.o_host, boot.i_words)
        m.d.comb += self.loading.eq(boot.state)
        loaded: Value = boot.state.loaded
        return loaded
