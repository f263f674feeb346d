"""An engine that streams its weights, with its controller and the simulated SDRAM: the ports of an engine by itself."""

from __future__ import annotations

from dataclasses import replace

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from bnnhw.hw.engine import Engine
from bnnhw.hw.sdram.layouts import Pins
from bnnhw.hw.streamed import StreamedEngine
from bnnhw.sim.sdram import SdramModel
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.program import Images
from bnnhw.spec.sdram import SdramSetup

POWER_UP = 50
"""Cycles of the chip's power-up, which is shortened."""
LEAST_ROW_BITS = 4


class EngineWithMemory(wiring.Component):
    """The circuit of a plan whose weights lie in SDRAM. The chip has as many rows as its contents need, refreshed as
    often as those of the whole chip, so that every command comes in the same cycle."""

    def __init__(self, config: EngineConfig, images: Images) -> None:
        assert config.external is not None
        words = ExternalLayout.of(config, images).pack(images)
        setup = _smaller(config.external, len(words))
        self.circuit = StreamedEngine(Engine(replace(config, external=setup), images))
        self.chip = SdramModel(part=setup.part, timing=setup.timing, words=words.tolist())
        super().__init__({name: m for name, m in self.circuit.signature.members.items() if name != "pins"})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.circuit, m.submodules.chip = circuit, chip = self.circuit, self.chip
        for name in Pins(circuit.setup.part).members:
            outside, inside = getattr(chip.pins, name), getattr(circuit.pins, name)
            m.d.comb += inside.eq(outside) if name == "i" else outside.eq(inside)
        connect(m, flipped(self.i_image), circuit.i_image)
        connect(m, circuit.o_scores, flipped(self.o_scores))
        m.d.comb += [circuit.i_image_abort.eq(self.i_image_abort), self.counters.eq(circuit.counters)]
        return m


def _smaller(setup: SdramSetup, words: int) -> SdramSetup:
    part = setup.part
    row = 1 << (part.column_bits + part.bank_bits)
    bits = max(LEAST_ROW_BITS, (-(-words // row) - 1).bit_length())
    fewer = replace(part, row_bits=bits, refresh_ms=part.refresh_ms / 2 ** (part.row_bits - bits))
    return replace(setup, part=fewer, timing=replace(setup.timing, power_up=POWER_UP))


__all__ = ["EngineWithMemory"]
