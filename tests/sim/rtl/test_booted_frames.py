"""Frames after a boot through the circuit: the streams are at their start, so every cycle is as predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import connect, flipped

from bnnhw import boards
from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.sim import golden
from bnnhw.sim.rtl import Effort, Simulation
from bnnhw.sim.rtl.memory import EngineWithMemory
from bnnhw.sim.rtl.runner import Stalls, reset_cycles
from bnnhw.spec.external import ExternalLayout

IDLE = 777
"""Cycles between two bytes near the middle of the boot, over several refreshes."""


class Booting(wiring.Component):
    """The engine's ports around a chip that is loaded first, a byte a cycle with one long pause."""

    def __init__(self, plan: Any) -> None:
        self.content = ExternalLayout.of(plan.engine, plan.images).image(plan.images).content
        self.engine = EngineWithMemory(plan.engine, plan.images, empty=True)
        self.own = ("i_image", "o_scores", "counters")
        super().__init__({name: self.engine.signature.members[name] for name in self.own})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.source = source = memory.Memory(shape=8, depth=len(self.content), init=self.content)
        read = source.read_port(domain="comb")
        at, pause = Signal(range(len(self.content) + 1)), Signal(range(IDLE + 1))
        m.d.comb += [
            read.addr.eq(at),
            engine.i_weights.payload.eq(read.data),
            engine.i_weights.valid.eq((at != len(self.content)) & (pause == 0)),
            self.counters.eq(engine.counters),
        ]
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(engine.i_weights.valid & engine.i_weights.ready):
            m.d.sync += at.eq(at + 1)
            with m.If(at == len(self.content) // 2):
                m.d.sync += pause.eq(IDLE)
        connect(m, flipped(self.i_image), engine.i_image)
        connect(m, engine.o_scores, flipped(self.o_scores))
        return m


def test_frames_after_a_boot() -> None:
    arch = snn.Arch(blocks=(1, 2), widths=(8, 12), tau=4, size=32, classes=7)
    network = lower(snn.untrained("small", arch), Widths(value=12, factor=18))
    external = boards.get("ulx3s").sdram_setup(100_000_000)
    found = make_plan(analyse(network), Shape(4, 8, 16, 4, 1, 8), external=external)
    images = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    booting = Booting(found)
    idle = 2 * len(booting.content) + IDLE + reset_cycles(found.engine, found.images)
    with Simulation(booting, found.engine.scores, effort=Effort.COMPILE, keep=False, idle=idle) as simulation:
        result = simulation.run(images)
        slow = simulation.run(images, stalls=Stalls(image=60, seed=1))
    expected = golden.run(network, images)
    assert np.array_equal(result.scores, expected)
    assert np.array_equal(slow.scores, expected)
    steady = [found.cost.frame] * (3 - len(found.cost.frames))
    assert list(result.cycles) == [*found.cost.frames, *steady]
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
