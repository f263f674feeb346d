"""A spill unit with a controller and a small chip, lanes that take their time, and the clock that says when what is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from bnnhw.compiler.spill_clock import SpillClock
from bnnhw.compiler.stream_clock import Controller
from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.hw.spill.unit import SpillUnit
from bnnhw.spec.engine import EngineConfig, SpillConfig
from bnnhw.spec.sdram import BURST, SdramSetup
from bnnhw.spec.spill import row_bursts, spill_layout, value_beats
from tests.hw.sdram.rig import Rig, at, small

BUSY = (20, 150)
"""Cycles from a row's issue until it is done, in these tests."""
PORTS = (PortConfig("load"), PortConfig("store", reads=False, writes=True))


@dataclass(frozen=True)
class Job:
    """A job on maps of ``width`` x ``height``: source at burst ``source`` (None: loads nothing), target likewise.
    above, below: rows of padding. second: burst of a second source, loaded for the first ``seconds`` passes. tile,
    second_tile: passes until a source is repeated, 0: it is not."""

    passes: int
    loads: int
    rows: int
    subs: int
    width: int
    source: int | None
    target: int | None
    kernel: int = 1
    stride: int = 1
    above: int = 0
    below: int = 0
    second: int | None = None
    seconds: int = 0
    tile: int = 0
    second_tile: int = 0

    @property
    def cell(self) -> int:
        """Words of the ring of loads from x to x + 1."""
        return self.subs * (1 if self.second is None else 2)

    def sources(self, number: int) -> list[tuple[int, int]]:
        """Sources that are loaded for a pass: their first bursts, and which pass's rows."""
        found = []
        for base, loads, tile in ((self.source, self.loads, self.tile), (self.second, self.seconds, self.second_tile)):
            if base is not None and number < loads:
                found.append((base, number % tile if tile else number))
        return found

    @property
    def height(self) -> int:
        """Rows of the source."""
        return (self.rows - 1) * self.stride + self.kernel - self.above - self.below

    def reads(self, y: int) -> range:
        """Rows of the source that row ``y`` reads."""
        first = y * self.stride - self.above
        return range(max(first, 0), min(first + self.kernel, self.height))

    def fields(self, config: EngineConfig) -> dict[str, int]:
        assert config.spill is not None
        burst, words = row_bursts(config, self.width), self.width * self.subs
        fields = {
            "last_pass": self.passes - 1,
            "last_y": self.rows - 1,
            "last_sub": self.subs - 1,
            "load_last_sub": self.subs - 1,
        }
        if self.source is not None:
            fields |= {
                "load": 1, "load_last_pass": self.loads - 1, "load_last_row": self.height - 1,
                "load_last_x": self.width - 1, "load_last_burst": burst - 1, "load_base": self.source,
                "load_dpass": self.subs * self.height * burst, "load_dy": burst, "load_dsub": self.height * burst,
                "load_words": self.width * self.cell,
                "load_room": config.spill.load_words // (self.width * self.cell), "load_tile": self.tile,
                "need_first": self.kernel - self.above, "need_step": self.stride,
                "lag": max(self.kernel - self.stride, 0),
            }  # fmt: skip
        if self.second is not None:
            fields |= {
                "second": 1, "second_last_pass": self.seconds - 1, "second_base": self.second,
                "second_tile": self.second_tile,
            }  # fmt: skip
        if self.target is not None:
            fields |= {
                "store": 1, "store_last_burst": burst - 1, "store_base": self.target,
                "store_dpass": self.subs * self.rows * burst, "store_dy": burst, "store_dsub": self.rows * burst,
                "store_words": words, "store_room": config.spill.store_words // words,
            }  # fmt: skip
        return fields


def spilling(config: EngineConfig, jobs: Sequence[Job], ring: int) -> EngineConfig:
    """``config`` with rings of so many words and a small SDRAM."""
    part = small()
    second, tiled = any(job.second is not None for job in jobs), any(job.tile or job.second_tile for job in jobs)
    spill = SpillConfig(ring, ring, 0, part.words // BURST, part.burst_bits, len(jobs), second, tiled)
    return replace(config, spill=spill, external=SdramSetup(part, at(part)))


class SpillRig(wiring.Component):
    """Unit, controller and chip; the other ports are the unit's."""

    def __init__(self, config: EngineConfig, jobs: Sequence[Job], words: Sequence[int], unit: Any = SpillUnit) -> None:
        assert config.external is not None
        layout = spill_layout(config)
        images: Any = SimpleNamespace(spills=[layout.pack(job.fields(config)) for job in jobs], front_store=None)
        self.unit = unit(config, images)
        setup = config.external
        self.memory = Rig(setup.part, setup.timing, configs=PORTS, words=words)
        names = ("i_job", "o_permitted", "i_row", "i_done", "i_valid", "i_address", "i_word")
        members = {name: self.unit.signature.members[name] for name in names}
        loaded = {name: self.unit.signature.members[name] for name in ("o_valid", "o_address", "o_word")}
        super().__init__({**members, **loaded, "o_idle": Out(1), "o_started": Out(1), "i_refresh": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit, m.submodules.memory = unit, memory = self.unit, self.memory
        connect(m, unit.o_load, memory.i_load)
        connect(m, memory.o_load, unit.i_loaded)
        connect(m, unit.o_store, memory.i_store)
        connect(m, unit.o_stored, memory.i_store_words)
        m.d.comb += [
            unit.i_busy.eq(memory.o_store_busy),
            memory.i_refresh.eq(self.i_refresh),
            self.o_idle.eq(unit.storer.o_idle),
            self.o_started.eq(memory.o_started),
        ]
        for name, member in self.signature.members.items():
            if hasattr(unit, name):
                own, inner = getattr(self, name), getattr(unit, name)
                m.d.comb += inner.eq(own) if member.flow == In else own.eq(inner)
        return m


class Clock(Controller):
    """The unit's clock and the SDRAM's, without other clients."""

    def __init__(self, config: EngineConfig, asked: int) -> None:
        assert config.external is not None
        self.spill = SpillClock(config.external.read_latency, value_beats(config), 0)
        super().__init__(config.external, (self.spill.load, self.spill.store))
        self.chip.asked, self.chip.due = asked, asked + 2

    def find(self, ask: Any) -> int:
        """The answer to ``ask``, once it is known."""
        while (found := ask()) is None:
            self.step()
        return int(found)


def predicted(config: EngineConfig, jobs: Sequence[Job], waits: Random, start: int) -> list[int]:
    """Cycles in which rows are issued by lanes that `lanes` plays, from cycle ``start`` on."""
    clock, at_cycle, issued = Clock(config, start - 2), start, []
    for job in jobs:
        fields: Mapping[str, int] = dict.fromkeys((f.name for f in spill_layout(config).fields), 0) | job.fields(config)
        begun = clock.find(lambda at=at_cycle: clock.spill.start(at))
        clock.spill.begin(begun, fields, False)
        for _ in range(job.passes * job.rows):
            at_cycle = max(at_cycle + 1, clock.find(clock.spill.row))
            clock.spill.issued(clock.find(clock.spill.row))
            issued.append(at_cycle)
            at_cycle += waits.randrange(*BUSY)
            clock.spill.done(at_cycle)
        at_cycle += waits.randrange(1, 60)
    return issued
