"""The whole design at its serial pins: a digit in, all scores out, after every kind of damage a line can do."""

from __future__ import annotations

import numpy as np

from bnnhw import models
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape, plan
from bnnhw.hw.engine import Engine
from bnnhw.hw.top import Top
from bnnhw.models import data
from bnnhw.sim import golden
from bnnhw.sim.rtl.pins import play
from bnnhw.sim.rtl.verilator import Effort
from bnnhw.spec.engine import COUNTERS
from bnnhw.spec.link import Identity

IDLE = 100_000
"""Cycles without a byte after which no reply will come."""


async def talk(pins, job):
    """What the device answers to damaged frames of one image, then to the good frames of another."""
    from bnnhw.spec.link import Command, Request, encode_frame

    def frame(command, image=0, word=0, payload=b""):
        return encode_frame(Request(command, 1, image, word, bytes(payload)).pack())

    async def ask(wire, count=1):
        await pins.send(wire)
        found = await pins.replies(count, IDLE)
        return [(r.status, r.image, r.word, list(r.data)) if r else None for r in found]

    said = {"garbage": []}
    await pins.send_bits([0] * 30)  # a break
    await pins.send(b"\x13garbage\xff\x00\x07\x00")  # two frames that are none
    said["garbage"] = await ask(frame(Command.PING), 3)
    said["begun"] = await ask(frame(Command.BEGIN, 1))
    block = frame(Command.BLOCK, 1, 0, job["other"])
    at = len(block) // 2
    said["corrupted"] = await ask(block[:at] + bytes([block[at] ^ 0x10]) + block[at + 1 :])
    said["dropped"] = await ask(block[:at] + block[at + 1 :])
    said["doubled"] = await ask(block[:at] + block[at : at + 1] + block[at:])
    said["cut"] = await ask(block[:at] + frame(Command.PING), 2)
    said["early"] = await ask(frame(Command.SCORES, 1))
    await ask(frame(Command.BEGIN, 2))
    whole = frame(Command.BLOCK, 2, 0, job["image"])
    said["taken"] = await ask(whole)
    said["again"] = await ask(whole)
    while True:
        answer = await ask(frame(Command.SCORES, 2))
        if answer[0][0] != 2:  # pending
            break
        await pins.idle(2000)
    said["scores"] = answer
    said["lost"] = await ask(frame(Command.SCORES, 1))
    said["counters"] = await ask(frame(Command.COUNTERS))
    return said


def test_a_digit_in_all_scores_out():
    network = lower(models.load("snn_digits"))
    planned = plan(network, None, Shape(2, 8, 16, 8, 2))
    c = planned.engine
    identity = Identity(
        build=1, height=c.input.height, width=c.input.width, channels=c.input.channels, scores=c.scores,
        score_bits=c.post.value_width, clock_hz=24_000_000, counters=len(COUNTERS),
    )  # fmt: skip
    images = data.load("digits").first(2).images
    job = {"other": images[0].reshape(-1).tolist(), "image": images[1].reshape(-1).tolist()}
    said = play(Top(Engine(c, planned.images), identity=identity), talk, job, effort=Effort.COMPILE)

    ok, incomplete, unknown, corrupt = 0, 3, 4, 9
    assert [reply[0] for reply in said["garbage"]] == [corrupt, corrupt, ok]
    assert said["garbage"][2][1:3] == [0, 2]  # no image begun, two corrupt frames
    assert said["begun"] == [[ok, 1, 0, []]]
    for damage in ("corrupted", "dropped", "doubled"):
        assert [reply[0] for reply in said[damage]] == [corrupt], damage
    assert [reply[0] for reply in said["cut"]] == [corrupt, ok]
    assert said["cut"][1][2] == 6
    assert said["early"][0][0] == incomplete
    assert said["taken"] == said["again"] == [[ok, 2, 64, []]]
    status, image, first, body = said["scores"][0]
    assert (status, image, first) == (ok, 2, 0)
    values = np.frombuffer(bytes(body), np.uint8).reshape(-1, identity.score_bytes)
    scores = [int.from_bytes(value.tobytes(), "little", signed=True) for value in values]
    assert scores == golden.run(network, images)[1].tolist()
    assert said["lost"][0][0] in (incomplete, unknown)
    frame = int.from_bytes(bytes(said["counters"][0][3][:4]), "little")
    assert planned.cost.first <= frame <= planned.cost.frame
