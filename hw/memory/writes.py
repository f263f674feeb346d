"""Writes to the memories of maps, as the post-processor and the front unit make them."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from bnnhw.hw.memory.activation import bit_write
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Widths


def writes(config: EngineConfig) -> data.StructLayout:
    """One cycle's writes: ``lanes`` values to the value memory and ``lanes`` bits to the activation memory, each where
    its ``valid`` is set; with ``value_ring`` the values go to the ring of rows for the SDRAM instead."""
    return data.StructLayout(
        {
            "value_valid": 1,
            "value_ring": int(config.spill is not None),
            "value_address": unsigned(Widths.of(config).value_addr),
            "value_word": unsigned(config.lanes * config.post.value_width),
            "bits_valid": 1,
            "bits": bit_write(config),
        }
    )
