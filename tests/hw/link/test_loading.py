"""LOAD frame by frame against the Python device, and the host program against a device that forgets or is at fault."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import pytest

from bnnhw.boards.host import Host, HostError
from bnnhw.boards.simulated import SimulatedDevice
from bnnhw.spec.link import BLOCK_BYTES, Command, FrameReader, Reply, Request, Status, encode_frame
from tests.hw.link.rig import byte_rig
from tests.hw.link.standin import IDENTITY, scores_of
from tests.hw.link.test_host_link import Faulty, Talk, picture

WEIGHTS = random.Random(5).randbytes(2 * BLOCK_BYTES + 32)
CRC = zlib.crc32(WEIGHTS)
LOADED = replace(IDENTITY, weight_bytes=len(WEIGHTS), weight_crc=CRC)


def engine(content):
    return scores_of(content, LOADED)


def load(word=0, payload=b"", crc=CRC, tag=1):
    return Request(Command.LOAD, tag, crc, word, payload).pack()


def block(number):
    return load(BLOCK_BYTES * number, WEIGHTS[BLOCK_BYTES * number :][:BLOCK_BYTES])


def requests(content):
    """Bodies that load a device with ``content``, and everything that may come beside."""
    first = content[:BLOCK_BYTES]
    yield from (load(), Request(Command.BEGIN, 2, 9).pack(), Request(Command.BLOCK, 2, 9, 0, b"x").pack())
    yield from (load(BLOCK_BYTES, first), load(0, first, CRC ^ 1), load(0, first[:17]), load(2**32 - 16, first))
    for at in range(0, len(content), BLOCK_BYTES):
        part = content[at : at + BLOCK_BYTES]
        yield from (None, load(at, part), load(at, part), load(), load(len(content), b""), load(0, first))
        yield from (load(at + 16, part), load(len(content), part[:16]))
    yield Request(Command.IDENTIFY, 3).pack()


def compare(talk, model, bodies):
    """Each body to the rig and to the Python device; the statuses of LOAD that were seen."""
    seen = set()
    for number, body in enumerate(bodies):
        wire = encode_frame(body) if body is not None else b"\0\7\1\0"
        model.write(wire)
        expected = list(FrameReader().feed(model.read(0)))
        assert talk.raw(wire, len(expected)) == expected, f"request {number}: {body!r}"
        talk.rig.sleep((3 * BLOCK_BYTES + 400) / LOADED.clock_hz)  # until the memory has it, and it is read back
        seen |= {Status(Reply.unpack(reply).status) for reply in expected}
    return seen


@pytest.mark.parametrize("gap", [0, 2])
def test_hardware_loads_like_the_python_device(gap):
    talk, model = Talk(byte_rig(LOADED, gap=gap)), SimulatedDevice(LOADED, engine)
    wrong = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    # After a mismatch each of them has a first block that is taken: so the second is read back wrong, too.
    seen = compare(talk, model, [*requests(wrong), *requests(WEIGHTS), block(1), block(2), load()])
    assert {Status.MISMATCH, Status.NOT_LOADED, Status.WRONG_OFFSET, Status.OUT_OF_RANGE} <= seen
    assert model.loaded
    content = picture(1)
    assert talk.begin(77).status == Status.OK
    talk.blocks(77, content)
    talk.rig.sleep(1000 / LOADED.clock_hz)
    assert talk.scores(77) == engine(content)


def test_what_a_device_without_sdram_answers():
    talk = Talk(byte_rig(IDENTITY))
    compare(talk, SimulatedDevice(IDENTITY, engine), [load(), load(0, WEIGHTS[:16])])
    assert talk.ask(Command.LOAD, CRC).status == Status.BAD_COMMAND


def test_busy_while_the_memory_takes_nothing_and_pending_while_it_is_read():
    talk = Talk(byte_rig(LOADED, slow_memory=60))
    for number in range(3):
        assert talk.raw(encode_frame(block(number)), 1)
        tries = 0
        while Reply.unpack(talk.raw(encode_frame(block(number)), 1)[0]).status == Status.BUSY:
            tries += 1
    assert Reply.unpack(talk.raw(encode_frame(block(2)), 1)[0]).status == Status.PENDING
    while talk.ask(Command.LOAD, CRC).status == Status.PENDING:
        pass
    assert talk.ask(Command.LOAD, CRC) == Reply(Command.LOAD, talk.tag, Status.OK, CRC, len(WEIGHTS))


def test_host_loads_over_a_line_that_loses_doubles_and_damages():
    rig = byte_rig(LOADED, gap=8)
    faulty = Faulty(rig, random.Random(3), rate=0.002)
    host = Host(faulty, timeout=40_000 / LOADED.clock_hz, retries=30, compute_timeout=1.0)
    marks = []
    assert host.load(WEIGHTS, lambda done, size: marks.append((done, size)))
    assert marks == sorted(marks)
    assert marks[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert not host.load(WEIGHTS)
    assert host.infer(picture(4)) == engine(picture(4))
    assert faulty.faults


class Stopped(Exception):
    """The host program ends."""


def test_loading_goes_on_where_it_ended():
    device = SimulatedDevice(LOADED, engine)

    def stop(done, size):
        raise Stopped

    with pytest.raises(Stopped):
        Host(device, window=1).load(WEIGHTS, stop)
    marks = []
    assert Host(device, window=1).load(WEIGHTS, lambda done, size: marks.append(done))
    assert marks == [2 * BLOCK_BYTES, len(WEIGHTS)]
    assert not Host(device).load(WEIGHTS)


def test_a_device_that_starts_anew_is_loaded_anew():
    class Forgets(SimulatedDevice):
        count = 0

        def answer(self, body):
            self.count += 1
            if self.count == 5:
                self._weights = b""
            return super().answer(body)

    device = Forgets(LOADED, engine)
    assert Host(device, window=1).load(WEIGHTS)
    assert device.loaded


@pytest.mark.parametrize(
    ("weights", "spoil", "message"),
    [
        (
            WEIGHTS,
            lambda content: content[2:] + content[:2],
            f"device must read its weights back with CRC {CRC:08x}, but reads "
            f"{zlib.crc32(WEIGHTS[2:] + WEIGHTS[:2]):08x}: the SDRAM, or the phase of its clock on this board "
            "(docs/sdram.md), is at fault",
        ),
        (
            WEIGHTS[16:],
            bytes,
            f"weights must be the {len(WEIGHTS)} bytes with CRC {CRC:08x} that the device wants, not "
            f"{len(WEIGHTS) - 16} with {zlib.crc32(WEIGHTS[16:]):08x}",
        ),
    ],
)
def test_errors(weights, spoil, message):
    with pytest.raises(HostError) as caught:
        Host(SimulatedDevice(LOADED, engine, spoil=spoil)).load(weights)
    assert str(caught.value) == message


def test_a_failed_loading_before_does_no_harm():
    spoils = [lambda content: b"wrong", bytes]
    device = SimulatedDevice(LOADED, engine, spoil=lambda content: spoils[0](content))
    with pytest.raises(HostError):
        Host(device).load(WEIGHTS)
    spoils.pop(0)
    assert Host(device).load(WEIGHTS)


def test_no_image_before_the_weights():
    with pytest.raises(HostError) as caught:
        Host(SimulatedDevice(LOADED, engine)).infer(picture(1))
    assert str(caught.value) == "device must be loaded with its weights before it takes an image"
