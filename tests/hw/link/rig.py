"""A simulated design as a pipe for the host program, its clock the simulation's."""

from __future__ import annotations

from collections import deque
from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from bnnhw.hw.link.host_link import HostLink
from bnnhw.hw.top import Top
from bnnhw.spec.link import Identity
from tests.hw.link.standin import StandIn, StandInMemory


class Rig:
    """A pipe (`bnnhw.boards.pipe`) whose time is counted in clocks of ``identity.clock_hz``."""

    def __init__(self, module: Any, identity: Identity) -> None:
        self.identity = identity
        self.cycle = 0
        self.sent: deque[int] = deque()
        self.received = bytearray()
        self._simulator = Simulator(module)
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._count, background=True)

    def add(self, process: Any) -> None:
        self._simulator.add_testbench(process, background=True)

    def step(self) -> None:
        self._simulator.advance()

    def write(self, data: bytes) -> None:
        self.sent.extend(data)

    def read(self, timeout: float) -> bytes:
        end = self.cycle + timeout * self.identity.clock_hz
        while not self.received and self.cycle < end:
            self.step()
        data, self.received = bytes(self.received), bytearray()
        return data

    def now(self) -> float:
        return self.cycle / self.identity.clock_hz

    def sleep(self, seconds: float) -> None:
        end = self.cycle + seconds * self.identity.clock_hz
        while self.cycle < end:
            self.step()

    def close(self) -> None:
        pass

    async def _count(self, ctx: Any) -> None:
        while True:
            await ctx.tick()
            self.cycle += 1


def byte_rig(identity: Identity, *, delay: int = 20, gap: int = 0, slow: int = 0, slow_memory: int = 0) -> Rig:
    """`HostLink` and a `StandIn`; clocks ``gap`` between bytes sent, ``slow`` between bytes taken, ``slow_memory``
    between weight bytes taken, where there are any."""
    module = Module()
    module.submodules.link = link = HostLink(identity=identity)
    module.submodules.engine = engine = StandIn(identity=identity, delay=delay)
    connect(module, link.o_image, engine.i_image)
    connect(module, engine.o_scores, link.i_scores)
    module.d.comb += link.counters.eq(engine.counters)
    if identity.weight_bytes:
        module.submodules.memory = memory = StandInMemory(identity=identity, wait=slow_memory)
        connect(module, link.o_weights, memory.i)
        module.d.comb += link.weights.eq(memory.state)
    rig = Rig(module, identity)

    async def send(ctx: Any) -> None:
        while True:
            while not rig.sent:
                await ctx.tick()
            ctx.set(link.i.payload, rig.sent.popleft())
            ctx.set(link.i.valid, 1)
            while not (await ctx.tick().sample(link.i.ready))[2]:
                pass
            ctx.set(link.i.valid, 0)
            await _idle(ctx, gap)

    async def take(ctx: Any) -> None:
        while True:
            ctx.set(link.o.ready, 1)
            while not (sample := await ctx.tick().sample(link.o.valid, link.o.payload))[2]:
                pass
            rig.received.append(sample[3])
            ctx.set(link.o.ready, 0)
            await _idle(ctx, slow)

    rig.add(send)
    rig.add(take)
    return rig


def pin_rig(identity: Identity, *, baud: int, delay: int = 20) -> Rig:
    """`Top` with a `StandIn`, driven at its two pins, 8N1; bytes go back to back."""
    module = Module()
    module.submodules.top = top = Top(StandIn(identity=identity, delay=delay), identity=identity, baud=baud)
    rig = Rig(module, identity)

    async def send(ctx: Any) -> None:
        ctx.set(top.rx, 1)
        await _idle(ctx, 3 * top.divisor)
        while True:
            while not rig.sent:
                await ctx.tick()
            byte = rig.sent.popleft()
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                ctx.set(top.rx, bit)
                await _idle(ctx, top.divisor)

    async def take(ctx: Any) -> None:
        while True:
            while ctx.get(top.tx):
                await ctx.tick()
            await _idle(ctx, top.divisor + top.divisor // 2)
            byte = 0
            for bit in range(8):
                byte |= ctx.get(top.tx) << bit
                await _idle(ctx, top.divisor)
            assert ctx.get(top.tx), "stop bit"
            rig.received.append(byte)

    rig.add(send)
    rig.add(take)
    return rig


async def _idle(ctx: Any, cycles: int) -> None:
    for _ in range(cycles):  # not `repeat`: its generator cannot be closed when the simulation is dropped
        await ctx.tick()
