"""A design with SDRAM at its serial pins: booted over a line that loses and damages, interrupted, then its images."""

from __future__ import annotations

from contextlib import suppress

import pytest

from bnnhw import boards, models
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.hw.top import Top
from bnnhw.models import data
from bnnhw.sim import golden
from bnnhw.sim.rtl.memory import EngineWithMemory
from bnnhw.sim.rtl.pins import play
from bnnhw.sim.rtl.verilator import Effort
from bnnhw.spec.engine import COUNTERS
from bnnhw.spec.external import ExternalLayout
from bnnhw.spec.link import BLOCK_BYTES, Identity, Status

CLOCK, BAUD = 100_000_000, 12_500_000


class Faulty:
    """A pipe that damages one in ``every`` bytes to the device: lost, changed, doubled in turn."""

    def __init__(self, pipe, every):
        self.pipe, self.every, self.sent, self.faults = pipe, every, 0, 0
        self.read, self.now, self.sleep, self.close = pipe.read, pipe.now, pipe.sleep, pipe.close

    def write(self, content):
        out = bytearray()
        for byte in content:
            self.sent += 1
            if self.sent % self.every:
                out.append(byte)
                continue
            self.faults += 1
            out += (b"", bytes([byte ^ 0x10]), bytes([byte, byte]))[self.faults % 3]
        self.pipe.write(bytes(out))


class StoppedError(Exception):
    """The host program ends."""


async def boot(pins, job):
    """Single blocks in every wrong way, then the host program, twice; then the images."""
    from bnnhw.boards.host import Host
    from bnnhw.spec.link import BLOCK_BYTES, Command, Request, encode_frame

    weights, crc = bytes.fromhex(job["weights"]), job["crc"]

    def frame(command, image=0, word=0, payload=b""):
        return encode_frame(Request(command, 1, image, word, payload).pack())

    async def ask(wire):
        await pins.send(wire)
        (found,) = await pins.replies(1, 100_000)
        return [found.status, found.word] if found else None

    first, second = weights[:BLOCK_BYTES], weights[BLOCK_BYTES : 2 * BLOCK_BYTES]
    whole = frame(Command.LOAD, crc, 0, first)
    said = {
        "question": await ask(frame(Command.LOAD, crc)),
        "image": await ask(frame(Command.BEGIN, 1)),
        "corrupted": await ask(whole[:70] + bytes([whole[70] ^ 1]) + whole[71:]),
        "later": await ask(frame(Command.LOAD, crc, BLOCK_BYTES, second)),
        "other": await ask(frame(Command.LOAD, crc ^ 1, 0, first)),
        "part": await ask(frame(Command.LOAD, crc, 0, first[:40])),
        "beyond": await ask(frame(Command.LOAD, crc, len(weights), first)),
        "taken": await ask(whole),
        "again": await ask(whole),
    }

    def host(pipe):
        return Host(Faulty(pipe, job["every"]), timeout=0.0003, compute_timeout=0.05)

    def program(pipe):
        def halfway(done, size):
            if done > size // 2:
                raise StoppedError

        with suppress(StoppedError):
            host(pipe).load(weights, halfway)
        marks, second = [], host(pipe)
        loaded = second.load(weights, lambda done, size: marks.append(done))
        scores = list(second.infer_all(bytes(image) for image in job["images"]))
        return marks[0], loaded, host(pipe).load(weights), scores, second.counters()

    said["resumed"], said["loaded"], said["reloaded"], said["scores"], said["counters"] = await pins.host(program)
    return said


def small():
    from tests.sim.machine.plan_networks import SHAPES, random_network  # the simulator's process does not find it

    builder = random_network(7)
    return builder.build(), SHAPES[4], builder.images(3)


def digits():
    return lower(models.load("snn_digits")), Shape(2, 8, 16, 8, 2), data.load("digits").first(3).images


@pytest.mark.parametrize(("case", "every"), [(small, 997), pytest.param(digits, 3001, marks=pytest.mark.long)])
def test_booted_over_a_bad_line(case, every):
    network, shape, images = case()
    setup = boards.get("ulx3s").sdram_setup(CLOCK)
    planned = make_plan(analyse(network), shape, external=setup)
    c = planned.engine
    image = ExternalLayout.of(c, planned.images).image(planned.images)
    identity = Identity(
        build=1, height=c.input.height, width=c.input.width, channels=c.input.channels, scores=c.scores,
        score_bits=c.post.value_width, clock_hz=CLOCK, counters=len(COUNTERS),
        weight_bytes=len(image.content), weight_crc=image.crc,
    )  # fmt: skip
    job = {
        "every": every,
        "weights": image.content.hex(),
        "crc": image.crc,
        "images": [one.reshape(-1).tolist() for one in images],
    }
    top = Top(EngineWithMemory(c, planned.images, empty=True), identity=identity, baud=BAUD)
    said = play(top, boot, job, effort=Effort.COMPILE)

    expected = {
        "question": (Status.OK, 0),
        "image": (Status.NOT_LOADED, 0),
        "corrupted": (Status.CORRUPT, 0),
        "later": (Status.WRONG_OFFSET, 0),
        "other": (Status.UNKNOWN_IMAGE, 0),
        "part": (Status.BAD_LENGTH, 0),
        "beyond": (Status.OUT_OF_RANGE, 0),
        "taken": (Status.OK, BLOCK_BYTES),
        "again": (Status.OK, BLOCK_BYTES),
    }
    assert {name: tuple(said[name]) for name in expected} == expected
    assert len(image.content) // 2 < said["resumed"] < len(image.content)
    assert (said["loaded"], said["reloaded"]) == (True, False)
    assert said["scores"] == golden.run(network, images).tolist()
    counters = dict(zip(COUNTERS, said["counters"], strict=True))
    assert counters["issue"] == planned.cost.causes()["issue"]
    assert counters["frame"] <= max(planned.cost.frames)
