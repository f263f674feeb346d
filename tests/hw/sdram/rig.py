"""A controller with the simulated chip at its pins, and parts that are small enough to simulate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect, flipped

from bnnhw.hw.sdram.controller import SdramController
from bnnhw.hw.sdram.layouts import PORTS, Pins, PortConfig
from bnnhw.sim.kit import Bench
from bnnhw.sim.sdram import SdramModel
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_75, Command, SdramPart, SdramTiming

CLOCK = 100_000_000
READER = (PortConfig("weights"),)
BOTH = (PortConfig("maps", writes=True),)


def small(part: SdramPart = MT48LC16M16A2_75, **changes: Any) -> SdramPart:
    """``part`` with so few words that its memory is simulated fast: 16 rows of 64 words in each bank."""
    # As many rows fewer are to be refreshed in as much less time, so that the interval stays.
    return replace(part, row_bits=4, column_bits=6, refresh_ms=part.refresh_ms / 2 ** (part.row_bits - 4), **changes)


def at(part: SdramPart, clock_hz: int = CLOCK, *, power_up: int = 20) -> SdramTiming:
    """The part's times, with a short power-up."""
    return replace(SdramTiming.of(part, clock_hz), power_up=power_up)


class Rig(wiring.Component):
    """Controller and chip; the ports are the controller's without its pins.

    ``planted``: times that the controller believes in instead. ``late``: what the controller is told of its read data's
    delay; ``delay``: registers that really delay them.
    """

    def __init__(
        self,
        part: SdramPart,
        timing: SdramTiming,
        *,
        configs: Sequence[PortConfig] = PORTS,
        words: Sequence[int] = (),
        planted: SdramTiming | None = None,
        late: int = 0,
        delay: int = 0,
    ) -> None:
        self.part, self.timing, self.delay = part, timing, delay
        self.controller = SdramController(part=part, timing=planted or timing, configs=configs, late=late)
        self.chip = SdramModel(part=part, timing=timing, words=words)
        members = {name: member for name, member in self.controller.signature.members.items() if name != "pins"}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = self.controller
        m.submodules.chip = self.chip
        for name in Pins(self.part).members:
            if name != "i":
                m.d.comb += getattr(self.chip.pins, name).eq(getattr(self.controller.pins, name))
        words = self.chip.pins.i
        for stage in range(self.delay):
            later = Signal(16, name=f"later_{stage}")
            m.d.sync += later.eq(words)
            words = later
        m.d.comb += self.controller.pins.i.eq(words)
        for name, member in self.signature.members.items():
            if member.is_signature and isinstance(member.signature, stream.Signature | wiring.FlippedSignature):
                connect(m, flipped(getattr(self, name)), getattr(self.controller, name))
            else:
                outer, inner = getattr(self, name), getattr(self.controller, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m


def ask(burst: int, bursts: int = 1, *, write: bool = False) -> dict[str, int]:
    """A request."""
    return {"burst": burst, "last": bursts - 1, "write": int(write)}


def write_words(words: Sequence[int], enables: Sequence[int] | None = None) -> list[dict[str, int]]:
    return [{"data": word, "enable": enable} for word, enable in zip(words, enables or [3] * len(words), strict=True)]


def bursts_of(part: SdramPart) -> int:
    return part.words // BURST


def record(bench: Bench, rig: Rig, done: Callable[[], bool]) -> list[tuple[int, Command, int, int]]:
    """Commands at the pins as (cycle, command, bank, address), until ``done()``; the list fills while it runs."""
    commands: list[tuple[int, Command, int, int]] = []
    pins = rig.controller.pins

    async def process(ctx: Any) -> None:
        cycle = 0
        while not done():
            _, _, command, bank, address = await ctx.tick().sample(pins.command, pins.bank, pins.address)
            if command != Command.NOP:
                commands.append((cycle, Command(command), bank, address))
            cycle += 1

    bench.testbench(process)
    return commands
