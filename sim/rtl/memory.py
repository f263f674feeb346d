"""An engine that streams its weights, with its controller and the simulated SDRAM: the ports of an engine by itself."""

from __future__ import annotations

from dataclasses import replace

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from bnnhw.hw.engine import Engine
from bnnhw.hw.sdram.layouts import Pins
from bnnhw.hw.streamed import StreamedEngine
from bnnhw.sim.sdram import SdramModel
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.program import Images
from bnnhw.spec.sdram import BURST, SdramSetup

POWER_UP = 50
"""Cycles of the chip's power-up, which is shortened."""
LEAST_ROW_BITS = 4


class EngineWithMemory(wiring.Component):
    """The circuit of a plan whose weights lie in SDRAM. The chip has as many rows as its contents need, refreshed as
    often as those of the whole chip, so that every command comes in the same cycle. ``empty``: the chip has to be
    loaded (`StreamedEngine`)."""

    def __init__(self, config: EngineConfig, images: Images, *, empty: bool = False) -> None:
        assert config.external is not None
        layout = ExternalLayout.of(config, images)
        words = layout.pack(images)
        setup = _smaller(config.external, layout.bursts * BURST)
        self.circuit = StreamedEngine(Engine(replace(config, external=setup), images), preloaded=not empty)
        self.chip = SdramModel(part=setup.part, timing=setup.timing, words=[] if empty else words.tolist())
        super().__init__({name: m for name, m in self.circuit.signature.members.items() if name != "pins"})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.circuit, m.submodules.chip = circuit, chip = self.circuit, self.chip
        for name in Pins(circuit.setup.part).members:
            outside, inside = getattr(chip.pins, name), getattr(circuit.pins, name)
            if name != "i":
                m.d.comb += outside.eq(inside)
        read = chip.pins.i
        for stage in range(circuit.setup.late):  # registers in the pins' cells, all of them on the way in
            following = Signal.like(read, name=f"read_{stage}")
            m.d.sync += following.eq(read)
            read = following
        m.d.comb += circuit.pins.i.eq(read)
        for name, member in self.signature.members.items():
            if member.is_signature:
                connect(m, flipped(getattr(self, name)), getattr(circuit, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(circuit, name))
        return m


def _smaller(setup: SdramSetup, words: int) -> SdramSetup:
    part = setup.part
    row = 1 << (part.column_bits + part.bank_bits)
    bits = max(LEAST_ROW_BITS, (-(-words // row) - 1).bit_length())
    fewer = replace(part, row_bits=bits, refresh_ms=part.refresh_ms / 2 ** (part.row_bits - bits))
    return replace(setup, part=fewer, timing=replace(setup.timing, power_up=POWER_UP))


__all__ = ["EngineWithMemory"]
