"""Spilled maps of an engine: those that its lanes read and write, and the one that its front unit makes."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from bnnhw.hw.memory.writes import writes
from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD, request
from bnnhw.hw.spill.front import FrontStorer
from bnnhw.hw.spill.unit import SpillUnit
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images

FRONT_RING = ("valid", "address", "word", "row")
"""Of the ports of `FrontWriter` and `FrontStorer`."""


def spill_members(config: EngineConfig, images: Images) -> dict[str, Member]:
    """Ports of an engine with spilled maps, for those of the SDRAM controller."""
    assert config.external is not None
    asked, words = stream.Signature(request(config.external.part)), stream.Signature(WRITE_WORD)
    members = {
        "o_load": Out(asked),
        "i_load_words": In(stream.Signature(WORD)),
        "o_store": Out(asked),
        "o_store_words": Out(words),
        "i_store_busy": In(1),
    }
    if images.front_store is not None:
        members |= {"o_front": Out(asked), "o_front_words": Out(words), "i_front_busy": In(1)}
    return members


class SpilledMaps(wiring.Component):
    """Spill unit and front unit's storer.

    Members
    -------
    i_start: a frame starts. i_job, o_permitted, i_row, i_done; o_valid, o_address, o_word: see `SpillUnit`.
    i_writes: of the lanes, those to the ring of what is stored among them.
    i_front_valid, i_front_address, i_front_word, i_front_row, o_front_stored, o_front_settled: see `FrontStorer`; only
    where it stores. The others: see `spill_members`.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.unit = SpillUnit(config, images)
        self.storer = None if images.front_store is None else FrontStorer(config, images.front_store)
        members = self.unit.signature.members
        own = {name: members[name] for name in ("i_job", "o_permitted", "i_row", "i_done")}
        own |= {name: members[name] for name in ("o_valid", "o_address", "o_word")}
        if self.storer is not None:
            members = self.storer.signature.members
            own |= {f"i_front_{name}": members[f"i_{name}"] for name in FRONT_RING}
            own |= {"o_front_stored": Out(1), "o_front_settled": Out(1)}
        super().__init__({"i_start": In(1), "i_writes": In(writes(config)), **own, **spill_members(config, images)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        connect(m, unit.o_load, flipped(self.o_load))
        connect(m, flipped(self.i_load_words), unit.i_loaded)
        connect(m, unit.o_store, flipped(self.o_store))
        connect(m, unit.o_stored, flipped(self.o_store_words))
        second = Signal(init=1)  # of the front unit's maps, this frame's
        with m.If(self.i_start):
            m.d.sync += second.eq(~second)
        m.d.comb += [
            unit.i_job.eq(self.i_job),
            unit.i_row.eq(self.i_row),
            unit.i_done.eq(self.i_done),
            unit.i_front.eq(second),
            unit.i_busy.eq(self.i_store_busy),
            self.o_permitted.eq(unit.o_permitted),
            self.o_valid.eq(unit.o_valid),
            self.o_address.eq(unit.o_address),
            self.o_word.eq(unit.o_word),
        ]
        made = self.i_writes
        m.d.sync += [
            unit.i_valid.eq(made.value_valid & made.value_ring),
            unit.i_address.eq(made.value_address),
            unit.i_word.eq(made.value_word),
        ]
        if self.storer is not None:
            m.submodules.front = storer = self.storer
            connect(m, storer.o_request, flipped(self.o_front))
            connect(m, storer.o_words, flipped(self.o_front_words))
            m.d.comb += [getattr(storer, f"i_{name}").eq(getattr(self, f"i_front_{name}")) for name in FRONT_RING]
            m.d.comb += [
                storer.i_busy.eq(self.i_front_busy),
                self.o_front_stored.eq(storer.o_stored),
                self.o_front_settled.eq(storer.o_settled),
            ]
        return m
