"""One component under test: drives and drains its streams with seeded stalls; monitors and a watchdog always run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import data, wiring
from amaranth.sim import Simulator

from bnnhw.sim.kit.monitor import stream_ports, watch


class Stuck(AssertionError):
    """Nothing moved for too long; the message says what every stream still waits for."""


def plain(value: Any) -> Any:
    """A simulated value as plain Python: integers, dicts of structs, lists of arrays."""
    if not isinstance(value, data.Const):
        return int(value)
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[i]) for i in range(layout.length)]
    return {key: plain(value[key]) for key, _ in layout}


class Bench:
    """Simulates ``dut`` in one clock domain "sync".

    Every stream of the DUT's signature is monitored from the first cycle. ``run`` ends when all drivers, drains and
    testbenches have ended; it raises Stuck after ``watchdog`` cycles without a transfer on any driven or drained
    stream. Stalls are probabilities per cycle; the same seed gives the same cycles.

    An idle driver puts random payloads beside valid = 0. A stalling drain offers ready before valid for some tokens
    and only after it for others, so that a producer that waits for ready gets stuck.
    """

    def __init__(self, dut: Any, *, seed: int = 0, watchdog: int = 1000) -> None:
        self.dut = dut
        self.cycle = 0
        self._rng = Random(seed)
        self._watchdog = watchdog
        self._moved = 0
        self._open: dict[str, Callable[[], str]] = {}
        self._streams = [(name, port) for name, _, port in stream_ports(dut)]
        top = Module()
        top.domains.sync = ClockDomain()  # the DUT itself may be combinational
        top.submodules.dut = dut
        self._sim = Simulator(top)
        self._sim.add_clock(10e-9)
        self._sim.add_process(self._count)
        for name, port in self._streams:
            self._sim.add_process(watch(name, port))

    def drive(self, port: Any, tokens: Iterable[Any], *, stall: float = 0.0, start: int = 0) -> None:
        """Send ``tokens`` (integers, or dicts for structs) into ``port`` from cycle ``start``."""
        name, rng, todo = self._name(port), Random(self._rng.random()), list(tokens)
        raw = Value.cast(port.payload)
        sent = 0

        async def process(ctx: Any) -> None:
            nonlocal sent
            await self._idle(ctx, start)
            for token in todo:
                while stall and rng.random() < stall:
                    ctx.set(raw, rng.getrandbits(len(raw)))
                    await ctx.tick()
                ctx.set(port.payload, token)
                ctx.set(port.valid, 1)
                while not (await ctx.tick().sample(port.ready))[2]:
                    pass
                ctx.set(port.valid, 0)
                sent += 1
                self._moved = self.cycle
            ctx.set(raw, rng.getrandbits(len(raw)))

        self._add(f"{name} in", process, lambda: f"{name}: {sent} of {len(todo)} tokens sent")

    def drain(self, port: Any, count: int, *, stall: float = 0.0, start: int = 0) -> list[Any]:
        """Take ``count`` tokens from ``port`` from cycle ``start``; the list fills (see ``plain``) while it runs."""
        name, rng = self._name(port), Random(self._rng.random())
        taken: list[Any] = []

        async def process(ctx: Any) -> None:
            await self._idle(ctx, start)
            while len(taken) < count:
                eager = not stall or rng.random() < 0.5
                while stall and (rng.random() < stall or not (eager or ctx.get(port.valid))):
                    await ctx.tick()
                ctx.set(port.ready, 1)
                payload, valid = await self._offer(ctx, port, stall if eager else 0.0, rng)
                ctx.set(port.ready, 0)
                if valid:
                    taken.append(plain(payload))
                    self._moved = self.cycle

        self._add(f"{name} out", process, lambda: f"{name}: {len(taken)} of {count} tokens taken")
        return taken

    def check_empty(self, port: Any, cycles: int, *, start: int = 0) -> None:
        """Require that ``port`` is not valid in ``cycles`` cycles from ``start`` (ready stays low)."""
        name = self._name(port)

        async def process(ctx: Any) -> None:
            await self._idle(ctx, start)
            for _ in range(cycles):
                _, _, valid = await ctx.tick().sample(port.valid)
                assert not valid, f"{name}: a token in cycle {self.cycle} where none may be"

        self._add(f"{name} empty", process, lambda: f"{name}: still watched for tokens")

    def testbench(self, process: Callable[[Any], Awaitable[None]]) -> None:
        """Add a testbench of one's own (see amaranth.sim); the run lasts until it ends."""
        label = getattr(process, "__name__", "testbench")
        self._add(f"{label} {len(self._open)}", process, lambda: f"{label}: still running")

    def run(self, *, wave: Path | None = None) -> int:
        """Simulate to the end; returns the cycles. ``wave`` writes a VCD file."""
        if wave is None:
            self._sim.run()
        else:
            with self._sim.write_vcd(str(wave)):
                self._sim.run()
        return self.cycle

    def _name(self, port: Any) -> str:
        return next((name for name, known in self._streams if known is port or _same(known, port)), "stream")

    def _add(self, key: str, process: Callable[[Any], Awaitable[None]], state: Callable[[], str]) -> None:
        async def until_done(ctx: Any) -> None:
            await process(ctx)
            del self._open[key]

        assert key not in self._open, f"{key} is already in use"
        self._open[key] = state
        self._sim.add_testbench(until_done)

    async def _count(self, ctx: Any) -> None:
        while True:  # not `async for`: its generator cannot be closed when another process raises
            await ctx.tick()
            self.cycle += 1
            if self._open and self.cycle - self._moved > self._watchdog:
                raise Stuck(
                    f"nothing moved for {self._watchdog} cycles; " + "; ".join(s() for s in self._open.values())
                )

    @staticmethod
    async def _idle(ctx: Any, cycles: int) -> None:
        for _ in range(cycles):
            await ctx.tick()

    @staticmethod
    async def _offer(ctx: Any, port: Any, give_up: float, rng: Random) -> Sequence[Any]:
        """Keep ready high until a token moves; with probability ``give_up`` a cycle take the offer back."""
        while True:
            _, _, payload, valid = await ctx.tick().sample(port.payload, port.valid)
            if valid or rng.random() < give_up:
                return payload, valid


def _same(known: Any, port: Any) -> bool:
    return isinstance(known, wiring.PureInterface) and Value.cast(known.valid) is Value.cast(port.valid)
