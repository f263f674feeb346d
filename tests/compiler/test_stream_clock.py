"""When streamed beats come: the model against the controller, players and simulated chip, beat by beat."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.compiler.stream_clock import StreamClock
from bnnhw.hw.memory.player import SdramPlayer
from bnnhw.hw.streamed import READERS
from bnnhw.sim.kit import Bench
from bnnhw.spec.external import ExternalLayout, Region
from bnnhw.spec.sdram import SdramSetup
from tests.hw.sdram.rig import Rig, at, small

NAMES = ("weights", "params")
IDLE = 600
"""Cycles before the first frame, in which the FIFOs fill."""


class Streams(wiring.Component):
    """Two players on the controller with the simulated chip."""

    def __init__(self, setup: SdramSetup, layout: ExternalLayout, words: list[int]) -> None:
        self.rig = Rig(setup.part, setup.timing, configs=READERS, words=words)
        self.players = {name: SdramPlayer(part=setup.part, region=getattr(layout, name)) for name in NAMES}
        members = {f"o_{name}": Out(player.o.signature) for name, player in self.players.items()}
        super().__init__(members | {"i_refresh": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rig = rig = self.rig
        m.d.comb += rig.i_refresh.eq(self.i_refresh)
        for name, player in self.players.items():
            m.submodules[name] = player
            connect(m, player.o_request, getattr(rig, f"i_{name}"))
            connect(m, getattr(rig, f"o_{name}"), player.i_words)
            connect(m, player.o, flipped(getattr(self, f"o_{name}")))
        return m


def setups(kind: str) -> tuple[SdramSetup, ExternalLayout]:
    part = small()
    # Only at a slow clock can a burst be read so soon after it was taken that a region's wrap delays the next.
    setup = SdramSetup(part, at(part, 8_000_000) if kind == "single" else at(part))
    weights, params = {
        "narrow": (Region(0, 90, 16), Region(12, 31, 40)),
        "wide": (Region(0, 40, 128), Region(41, 50, 48)),
        "single": (Region(0, 1, 128), Region(1, 31, 40)),
        "conflict": (Region(0, 130, 64), Region(256, 61, 33)),  # the same banks, other rows
    }[kind]
    return setup, ExternalLayout(weights, params)


@pytest.mark.parametrize("kind", ["narrow", "wide", "single", "conflict"])
@pytest.mark.parametrize("seed", range(4))
def test_every_pass(kind: str, seed: int) -> None:
    setup, layout = setups(kind)
    rng = Random(seed)
    dut = Streams(setup, layout, [0] * setup.part.words)
    loads = []
    for _ in range(30):
        weights = [rng.choice([0, 0, 0, 3, 9]) for _ in range(rng.choice([0, 3, 20, 60]))]
        loads.append((rng.choice([1, 2, 40, 900]), weights, rng.randrange(1, 30)))
    frames = {0, 11, 23}
    found: list[tuple[int, int]] = []
    clock = StreamClock(setup, layout)
    expected: list[tuple[int, int]] = []
    now = 0  # frame starts in cycle 0
    for number, (wait, weights, params) in enumerate(loads):
        if number in frames:
            clock.frame(now)
        request = now + wait
        done = clock.load(request, weights, params)
        expected.append(done)
        now = max(request, *(done if weights else done[1:])) + 5

    async def consume(ctx: Any) -> None:
        for _ in range(IDLE):
            await ctx.tick()
        cycle, now, start = 0, 0, -1

        async def tick() -> None:
            nonlocal cycle
            ctx.set(dut.i_refresh, cycle == start + 1)  # a cycle after the frame's start, as in the engine
            await ctx.tick()
            cycle += 1

        for number, (wait, weights, params) in enumerate(loads):
            while cycle < now:
                await tick()
            start = now if number in frames else start
            request = now + wait
            state = {"weights": [request, list(weights)], "params": [request, [0] * params]}
            while any(gaps for _, gaps in state.values()):
                for name, (previous, gaps) in state.items():
                    port = getattr(dut, f"o_{name}")
                    ready = bool(gaps) and cycle >= previous + 1 + gaps[0]
                    ctx.set(port.ready, ready)
                    if ready and ctx.get(port.valid):
                        state[name] = [cycle, gaps[1:]]
                await tick()
                for name in NAMES:
                    ctx.set(getattr(dut, f"o_{name}").ready, 0)
            done = (state["weights"][0] if weights else -1, state["params"][0])
            found.append(done)
            now = max(request, *done) + 5

    bench = Bench(dut, watchdog=100_000)
    bench.testbench(consume)
    bench.run()
    wanted = [(w if load[1] else -1, p) for (w, p), load in zip(expected, loads, strict=True)]
    assert found == wanted


def test_state_says_what_is_taken() -> None:
    """Two clocks that read the same of the chip, but one has handed out a beat more."""
    setup, layout = setups("narrow")
    clocks = [StreamClock(setup, layout) for _ in range(3)]
    for clock, beats in zip(clocks, (2, 2, 3), strict=True):
        clock.load(0, [0] * 4, beats)
    first, same, other = (clock.state(500) for clock in clocks)
    assert first == same
    assert clocks[0].chip.state(500) == clocks[2].chip.state(500)
    assert first != other
    assert [clock.state(501) for clock in clocks] != [first, same, other]
