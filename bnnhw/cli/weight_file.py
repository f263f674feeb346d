"""weights.bin: the weights as the memory holds them, behind a header that says whose they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from bnnhw.cli.output import write_bytes
from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.spec.external import weights_crc
from bnnhw.spec.link import Identity

MAGIC = b"bnnhw-wt"
VERSION = 1
HEADER = struct.Struct("<8sIIQII")
"""Magic, version, bytes of the network's name, build number, bytes of the content, its CRC-32. Name and content
follow."""


@dataclass(frozen=True)
class WeightFile:
    """``content`` belongs to the build ``build`` of ``network``: the image of its SDRAM, or where all weights are part
    of the bitstream the beats of the weight memory, each little-endian in whole bytes."""

    network: str
    build: int
    content: bytes

    @property
    def crc(self) -> int:
        return weights_crc(self.content)

    def pack(self) -> bytes:
        """The bytes of the file."""
        name = self.network.encode()
        return HEADER.pack(MAGIC, VERSION, len(name), self.build, len(self.content), self.crc) + name + self.content

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        write_bytes(path, self.pack())

    @classmethod
    def read(cls, path: Path) -> WeightFile:
        """Raises FileFormatError when ``path`` is not a whole weight file of this version."""
        try:
            raw = path.read_bytes()
        except OSError:
            raise FileFormatError(f"weight file {path} must be readable, and is not") from None
        if len(raw) < HEADER.size or not raw.startswith(MAGIC):
            raise FileFormatError(f"weight file {path} must begin with a header of this program, and does not")
        _, version, name_bytes, build, size, crc = HEADER.unpack_from(raw)
        if version != VERSION:
            raise FileFormatError(f"weight file {path} must be of version {VERSION}, not {version}")
        name, content = raw[HEADER.size : HEADER.size + name_bytes], raw[HEADER.size + name_bytes :]
        if len(content) != size:
            raise FileFormatError(f"weight file {path} must have {size} bytes of weights, not {len(content)}")
        found = cls(name.decode(errors="replace"), build, content)
        if found.crc != crc:
            raise FileFormatError(f"weight file {path} must have weights with CRC {crc:08x}, not {found.crc:08x}")
        return found

    def check(self, path: Path, identity: Identity) -> None:
        """Raises BnnhwError when a device does not want these weights; ``path`` is their file."""
        wanted = (identity.weight_bytes, identity.weight_crc)
        if (len(self.content), self.crc) != wanted:
            raise BnnhwError(
                f"weight file {path} must have the {wanted[0]} bytes with CRC {wanted[1]:08x} that the device's build "
                f"{identity.build:016x} wants, not {len(self.content)} with {self.crc:08x} of {self.network}, build "
                f"{self.build:016x}"
            )


__all__ = ["WeightFile"]
