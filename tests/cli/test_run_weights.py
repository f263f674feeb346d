"""``bnnhw run`` on a device that wants weights: found, checked before anything is sent, loaded once."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnnhw.boards import pipe
from bnnhw.boards.simulated import SimulatedDevice
from bnnhw.cli import main
from bnnhw.cli.weight_file import WeightFile
from bnnhw.errors import FileFormatError
from bnnhw.spec.link import Command, Identity

WEIGHTS = random.Random(1).randbytes(16 * 50)
BUILD = 0xAB
RUN = ["run", "--board", "ulx3s", "--port", "P", "image.npy"]


class Device(SimulatedDevice):
    """Notes the commands that it gets."""

    def __init__(self) -> None:
        identity = Identity(BUILD, 4, 4, 1, 3, 12, 8, 100_000_000, len(WEIGHTS), zlib.crc32(WEIGHTS))
        super().__init__(identity, lambda image: [sum(image), 5, -7])
        self.seen: list[int] = []

    def answer(self, body: bytes | None) -> Any:
        self.seen += [] if body is None else [body[0]]
        return super().answer(body)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    found = Device()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipe, "SerialPipe", lambda port, baud: found)
    np.save("image.npy", np.ones((1, 4, 4, 1), np.uint8))
    WeightFile("net", BUILD, WEIGHTS).write(tmp_path / "weights.bin")
    return found


def test_loaded_once(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([*RUN, "--weights", "weights.bin"]) == 0
        assert "scores 16 5 -7" in capsys.readouterr().out
    assert device.seen.count(Command.LOAD) == 1 + 4 + 1 + 1  # question, blocks, question; question


def test_found_in_the_build(device: Device, tmp_path: Path) -> None:
    folder = tmp_path / "build" / "net-ulx3s"
    folder.mkdir(parents=True)
    (tmp_path / "weights.bin").rename(folder / "weights.bin")
    (folder / "program.json").write_text(
        f'{{"kind": "bnnhw program", "version": 2, "classes": ["a", "b", "c"], "build": "{BUILD:x}"}}'
    )
    assert main([*RUN, "--model", "net"]) == 0
    assert device.loaded


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            WeightFile("other", 0xCD, WEIGHTS[16:]).pack(),
            f"weight file w must have the 800 bytes with CRC {zlib.crc32(WEIGHTS):08x} that the device's build "
            f"00000000000000ab wants, not 784 with {zlib.crc32(WEIGHTS[16:]):08x} of other, build 00000000000000cd",
        ),
        (WEIGHTS, "weight file w must begin with a header of this program, and does not"),
        (WeightFile("n", 1, WEIGHTS).pack()[:-1], "weight file w must have 800 bytes of weights, not 799"),
        (
            WeightFile("n", 1, WEIGHTS).pack()[:-1] + b"\x00",
            f"weight file w must have weights with CRC {zlib.crc32(WEIGHTS):08x}, not "
            f"{zlib.crc32(WEIGHTS[:-1] + bytes(1)):08x}",
        ),
        (None, "weight file w must be readable, and is not"),
    ],
)
def test_wrong_weights(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: bytes | None, message: str
) -> None:
    if file is not None:
        (tmp_path / "w").write_bytes(file)
    assert main([*RUN, "--weights", "w"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {message}"]
    assert set(device.seen) == {Command.IDENTIFY}


def test_weights_must_be_given(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RUN) == 2
    expected = "error: the device's 800 bytes of weights must be given with --model, --build or --weights"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_other_version(tmp_path: Path) -> None:
    raw = bytearray(WeightFile("n", 1, WEIGHTS).pack())
    raw[8] = 2
    (tmp_path / "w").write_bytes(raw)
    with pytest.raises(FileFormatError) as caught:
        WeightFile.read(tmp_path / "w")
    assert str(caught.value) == f"weight file {tmp_path / 'w'} must be of version 1, not 2"
