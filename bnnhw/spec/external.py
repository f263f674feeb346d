"""What lies where in the external memory: streams that are played once a frame, in the order of use."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images, param_bits
from bnnhw.spec.sdram import BURST

WORD = 16
"""Bits of a word."""
BURST_BYTES = BURST * WORD // 8
MAP_ALIGN = 256
"""Bursts of a row of every bank: spilled maps begin in the first bank."""


@dataclass(frozen=True)
class Region:
    """A stream of ``beats`` beats of ``width`` bits from burst ``first`` on; each beat begins a new word, its lowest
    bits first."""

    first: int
    beats: int
    width: int

    @property
    def beat_words(self) -> int:
        return -(-self.width // WORD)

    @property
    def words(self) -> int:
        """Words of all beats; the last burst may have more."""
        return self.beats * self.beat_words

    @property
    def bursts(self) -> int:
        return -(-self.words // BURST)

    @property
    def end(self) -> int:
        """The first burst behind it."""
        return self.first + self.bursts

    def pack(self, beats: Sequence[int]) -> NDArray[np.uint16]:
        """The words of its bursts."""
        size = 2 * self.beat_words
        raw = b"".join(beat.to_bytes(size, "little") for beat in beats)
        return np.frombuffer(raw.ljust(2 * BURST * self.bursts, b"\0"), "<u2")


def weights_crc(content: bytes) -> int:
    """The CRC-32 by which weights are known again, in files and on the device."""
    return zlib.crc32(content)


@dataclass(frozen=True)
class WeightImage:
    """What the memory is loaded with, from burst 0 on."""

    content: bytes

    @property
    def bursts(self) -> int:
        return len(self.content) // BURST_BYTES

    @property
    def crc(self) -> int:
        return weights_crc(self.content)


@dataclass(frozen=True)
class ExternalLayout:
    """Regions of an engine's streams."""

    weights: Region
    params: Region
    maps: int = 0
    """Bursts of spilled maps, which begin at ``first_map``."""

    @classmethod
    def of(cls, config: EngineConfig, images: Images) -> ExternalLayout:
        weights = Region(0, len(images.weights), config.beat_bits)
        maps = 0 if config.spill is None else config.spill.bursts
        return cls(weights, Region(weights.end, len(images.params), param_bits(config)), maps)

    @property
    def first_map(self) -> int:
        """First burst of the spilled maps."""
        return -(-self.params.end // MAP_ALIGN) * MAP_ALIGN

    @property
    def bursts(self) -> int:
        """Bursts of all, from the first one on."""
        return self.first_map + self.maps if self.maps else self.params.end

    def pack(self, images: Images) -> NDArray[np.uint16]:
        """The memory's words from address 0 on."""
        return np.concatenate([self.weights.pack(images.weights), self.params.pack(images.params)])

    def image(self, images: Images) -> WeightImage:
        """The memory's words as bytes, the low one of each first."""
        return WeightImage(self.pack(images).astype("<u2").tobytes())


__all__ = ["BURST_BYTES", "WORD", "ExternalLayout", "Region", "WeightImage", "weights_crc"]
