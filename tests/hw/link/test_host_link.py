"""The device's end of the link against the Python device, frame by frame, and with the host program."""

import dataclasses
import random

import pytest

from bnnhw.boards.host import Host
from bnnhw.boards.simulated import SimulatedDevice
from bnnhw.spec.link import (
    BLOCK_BYTES,
    BODY_BYTES,
    SLOTS,
    Command,
    FrameReader,
    Identity,
    Reply,
    Request,
    Status,
    encode_frame,
)
from tests.hw.link.rig import byte_rig, pin_rig
from tests.hw.link.standin import IDENTITY, scores_of

SIZE = IDENTITY.image_bytes


def picture(seed, identity=IDENTITY):
    return random.Random(seed).randbytes(identity.image_bytes)


class Talk:
    """Frames to a rig one at a time; the replies as they come."""

    def __init__(self, rig):
        self.rig, self.reader, self.tag = rig, FrameReader(), 0
        self.patience = 10_000 / rig.identity.clock_hz

    def raw(self, wire, count):
        """Send ``wire``; the bodies of the ``count`` replies, and none may follow at once."""
        self.rig.write(wire)
        replies = []
        while len(replies) < count:
            data = self.rig.read(self.patience)
            assert data, f"{len(replies)} of {count} replies"
            replies += self.reader.feed(data)
        replies += self.reader.feed(self.rig.read(12 * self.patience / 1000))
        assert None not in replies
        assert len(replies) == count
        return replies

    def ask(self, command, image=0, word=0, payload=b""):
        self.tag += 1
        (body,) = self.raw(encode_frame(Request(command, self.tag & 0xFF, image, word, payload).pack()), 1)
        reply = Reply.unpack(body)
        assert (reply.command, reply.tag) == (command, self.tag & 0xFF)
        return reply

    def begin(self, image):
        """BEGIN, again while the last block of the image before is on its way to the engine."""
        while (reply := self.ask(Command.BEGIN, image)).status == Status.BUSY:
            pass
        return reply

    def blocks(self, image, content, start=0, end=None):
        for offset in range(start, end or len(content), BLOCK_BYTES):
            block = content[offset : end or len(content)][:BLOCK_BYTES]
            while (reply := self.ask(Command.BLOCK, image, offset, block)).status == Status.BUSY:
                pass
        return reply

    def scores(self, image):
        reply = self.ask(Command.SCORES, image)
        assert reply.image == image
        if reply.status != Status.OK:
            return Status(reply.status)
        size = IDENTITY.score_bytes
        return [int.from_bytes(reply.data[at : at + size], "little", signed=True) for at in range(0, 3 * size, size)]


def odd_requests(rng, image, offset):
    """One request of each kind that comes beside the next block: out of turn, wrong, of other length, no frame."""
    tag, blocks = rng.randrange(256), Command.BLOCK
    bodies = [
        Request(rng.choice((Command.IDENTIFY, Command.COUNTERS)), tag).pack(),
        Request(Command.PING, tag).pack(),
        Request(Command.BEGIN, tag, rng.choice((image, 0))).pack(),
        Request(Command.SCORES, tag, max(0, image - rng.randrange(6)), rng.choice((0, 1, 2, 3, 2**31))).pack(),
        Request(blocks, tag, image, rng.choice((0, offset + 1, SIZE, 2**32 - 1)), b"x" * rng.choice((1, 240))).pack(),
        Request(blocks, tag, image ^ 1, offset, b"y").pack(),
        bytes([0x80 | rng.randrange(128), tag]) + rng.randbytes(rng.choice((0, 8, 248))),
        bytes([rng.choice(tuple(BODY_BYTES)), tag]) + rng.randbytes(3),
        None,
    ]
    return rng.sample(bodies, 4)


def requests(rng, images):
    """Images, some left incomplete, with odd requests in between; bodies, or None for garbage."""
    for image in range(1, images + 1):
        content, offset = picture(rng.random()), 0
        yield Request(Command.BEGIN, rng.randrange(256), image).pack()
        for size in (BLOCK_BYTES, SIZE - BLOCK_BYTES)[: rng.choice((1, 2, 2, 2))]:
            yield from odd_requests(rng, image, offset)
            for _ in range(rng.choice((1, 1, 2))):
                yield Request(Command.BLOCK, rng.randrange(256), image, offset, content[offset : offset + size]).pack()
            offset += size
        yield Request(Command.SCORES, rng.randrange(256), image).pack()
    yield from (Request(Command.SCORES, 7, image).pack() for image in range(images - SLOTS, images + 1))


@pytest.mark.parametrize(("seed", "gap", "slow"), [(6, 0, 0), (9, 2, 0), (12, 0, 3)])
def test_hardware_answers_like_the_python_device(seed, gap, slow):
    rng = random.Random(seed)
    talk = Talk(byte_rig(IDENTITY, gap=gap, slow=slow))
    counts = [0]

    def engine(content):
        counts[0] += 1
        return scores_of(content, IDENTITY)

    model = SimulatedDevice(IDENTITY, engine)
    seen = set()
    for number, body in enumerate(requests(rng, 6)):
        wire = encode_frame(body) if body is not None else b"\0" + rng.randbytes(rng.randrange(1, 60)) + b"\0"
        model.write(wire)
        expected = list(FrameReader().feed(model.read(0)))
        got = talk.raw(wire, len(expected))
        talk.rig.sleep((3 * BLOCK_BYTES + 100) / IDENTITY.clock_hz)  # until the engine has the block
        counters = [Reply.unpack(b).command == Command.COUNTERS for b in got]
        assert [g for g, c in zip(got, counters, strict=True) if not c] == [
            e for e, c in zip(expected, counters, strict=True) if not c
        ], f"request {number}: {body!r}"
        seen |= {Status(Reply.unpack(b).status) for b in got}
    assert seen == set(Status) - {Status.BUSY, Status.PENDING, Status.NOT_LOADED, Status.MISMATCH}
    # The engine got exactly the images of which it got a part.
    assert int.from_bytes(talk.ask(Command.COUNTERS).data[:4], "little") == counts[0] >= 2


def test_identify():
    assert Identity.unpack(Talk(byte_rig(IDENTITY)).ask(Command.IDENTIFY).data) == IDENTITY


def test_doubled_begin_and_blocks_do_no_harm():
    talk, content = Talk(byte_rig(IDENTITY)), picture(2)
    for _ in range(2):
        assert talk.ask(Command.BEGIN, 9) == Reply(Command.BEGIN, talk.tag, Status.OK, 9, 0)
    for _ in range(2):
        assert talk.ask(Command.BLOCK, 9, 0, content[:240]) == Reply(Command.BLOCK, talk.tag, Status.OK, 9, 240)
    assert talk.ask(Command.BEGIN, 9) == Reply(Command.BEGIN, talk.tag, Status.OK, 9, 240)
    assert talk.scores(9) == Status.INCOMPLETE
    for _ in range(2):
        talk.rig.sleep(1000 / IDENTITY.clock_hz)
        assert talk.ask(Command.BLOCK, 9, 240, content[240:]) == Reply(Command.BLOCK, talk.tag, Status.OK, 9, SIZE)
    assert talk.scores(9) == scores_of(content, IDENTITY)
    assert talk.ask(Command.BEGIN, 9).word == SIZE
    assert talk.scores(9) == scores_of(content, IDENTITY)


def test_begin_leaves_a_partial_image():
    talk, content = Talk(byte_rig(IDENTITY)), picture(3)
    talk.ask(Command.BEGIN, 1)
    talk.blocks(1, picture(4), end=100)
    talk.begin(2)
    assert talk.ask(Command.BLOCK, 1, 100, b"x").status == Status.UNKNOWN_IMAGE
    assert talk.ask(Command.BLOCK, 2, 100, b"x") == Reply(Command.BLOCK, talk.tag, Status.WRONG_OFFSET, 2, 0)
    talk.blocks(2, content)
    assert talk.scores(2) == scores_of(content, IDENTITY)
    assert talk.scores(1) == Status.UNKNOWN_IMAGE
    assert talk.ask(Command.COUNTERS).data[:4] == (2).to_bytes(4, "little")  # the first was filled up


def test_an_image_begun_over_is_filled_up_while_the_next_waits():
    """The engine takes no byte for a while: what is sent and filled up waits until it does."""
    talk, content = Talk(byte_rig(IDENTITY, delay=6_000)), picture(7)
    talk.begin(1)
    talk.blocks(1, picture(5))
    for number in (2, 3):  # each is left after a block, whatever the engine does
        talk.begin(number)
        talk.blocks(number, picture(6), end=BLOCK_BYTES)
    assert talk.begin(4) == Reply(Command.BEGIN, talk.tag, Status.OK, 4, 0)
    talk.blocks(4, content)
    talk.rig.sleep(30_000 / IDENTITY.clock_hz)
    assert talk.scores(1) == scores_of(picture(5), IDENTITY)
    assert talk.scores(2) == talk.scores(3) == Status.UNKNOWN_IMAGE
    assert talk.scores(4) == scores_of(content, IDENTITY)
    assert talk.ask(Command.COUNTERS).data[:4] == (4).to_bytes(4, "little")


def test_no_slot_is_given_away_that_awaits_scores_of_an_abandoned_image():
    small = dataclasses.replace(IDENTITY, height=1, width=2, channels=3)
    talk = Talk(byte_rig(small, delay=4_000))
    for number in range(1, 10):
        reply = talk.ask(Command.BEGIN, number)
        if reply.status == Status.BUSY:
            break
        talk.blocks(number, picture(number, small), end=4)
    assert number <= SLOTS
    talk.rig.sleep(30_000 / small.clock_hz)
    talk.begin(number)
    talk.blocks(number, picture(number, small))
    talk.rig.sleep(12_000 / small.clock_hz)
    assert talk.scores(number) == scores_of(picture(number, small), small)


def test_an_image_begun_without_a_byte_leaves_nothing_to_fill():
    talk, content = Talk(byte_rig(IDENTITY)), picture(8)
    for number in range(1, 3 * SLOTS):
        assert talk.ask(Command.BEGIN, number).status == Status.OK
    talk.blocks(number, content)
    talk.rig.sleep(1000 / IDENTITY.clock_hz)
    assert talk.scores(number) == scores_of(content, IDENTITY)
    assert talk.ask(Command.COUNTERS).data[:4] == (1).to_bytes(4, "little")


def test_scores_of_the_last_images_are_kept_and_older_ones_forgotten():
    talk, contents = Talk(byte_rig(IDENTITY)), {n: picture(n) for n in range(1, SLOTS + 3)}
    for number, content in contents.items():
        talk.begin(number)
        talk.blocks(number, content)
    talk.rig.sleep(1000 / IDENTITY.clock_hz)
    for number, content in contents.items():
        kept = number > len(contents) - SLOTS
        assert talk.scores(number) == (scores_of(content, IDENTITY) if kept else Status.UNKNOWN_IMAGE)
    talk.ask(Command.BEGIN, len(contents) + 1)  # takes the oldest slot at once
    assert talk.scores(len(contents) + 1 - SLOTS) == Status.UNKNOWN_IMAGE


def test_id_used_again_belongs_to_the_newer_image():
    talk = Talk(byte_rig(IDENTITY))
    for number, seed in ((1, 5), (2, 6), (1, 7)):
        talk.begin(number)
        talk.blocks(number, picture(seed))
    talk.rig.sleep(1000 / IDENTITY.clock_hz)
    assert talk.scores(1) == scores_of(picture(7), IDENTITY)
    assert talk.scores(2) == scores_of(picture(6), IDENTITY)


def test_busy_and_pending_while_the_engine_works():
    small = dataclasses.replace(IDENTITY, height=1, width=2, channels=3)
    talk, sent = Talk(byte_rig(small, delay=4_000)), []
    for number in range(1, 9):
        if talk.ask(Command.BEGIN, number).status == Status.BUSY:
            break
        sent.append(picture(number, small))
        assert talk.blocks(number, sent[-1]).status == Status.OK
    assert len(sent) == 3  # one computing, one in the engine, one in the link's buffer
    assert talk.scores(1) == talk.scores(2) == Status.PENDING
    talk.rig.sleep(13_000 / small.clock_hz)
    for number, content in enumerate(sent, 1):
        assert talk.scores(number) == scores_of(content, small)
    assert talk.ask(Command.BEGIN, 9).status == Status.OK


def test_host_program_over_a_line_that_loses_doubles_and_damages():
    rig = byte_rig(dataclasses.replace(IDENTITY, score_bits=24, scores=90), gap=8)
    faulty = Faulty(rig, random.Random(11), rate=0.003)
    host = Host(faulty, timeout=12_000 / rig.identity.clock_hz, retries=30, compute_timeout=1.0)
    images = [picture(seed, rig.identity) for seed in range(6)]
    assert list(host.infer_all(images)) == [scores_of(image, rig.identity) for image in images]
    assert faulty.faults > 10
    assert host.ping() > 2


class Faulty:
    """A pipe that damages bytes in both directions: lost, doubled, changed, garbage put in."""

    def __init__(self, pipe, rng, rate):
        self.pipe, self.rng, self.rate, self.faults = pipe, rng, rate, 0
        self.now, self.sleep, self.close = pipe.now, pipe.sleep, pipe.close

    def write(self, data):
        self.pipe.write(self._spoil(data))

    def read(self, timeout):
        return self._spoil(self.pipe.read(timeout))

    def _spoil(self, data):
        out = bytearray()
        for byte in data:
            if self.rng.random() >= self.rate:
                out.append(byte)
                continue
            self.faults += 1
            out += self.rng.choice(
                (b"", bytes([byte, byte]), bytes([byte ^ 1 << self.rng.randrange(8)]), self.rng.randbytes(9), b"\0")
            )
        return bytes(out)


def test_pins():
    identity = dataclasses.replace(IDENTITY, height=3, width=4, channels=1)
    rig = pin_rig(identity, baud=6_000_000)
    talk, content = Talk(rig), picture(1, identity)
    good = encode_frame(Request(Command.BLOCK, 2, 5, 0, content).pack())
    talk.ask(Command.BEGIN, 5)
    # Each bad frame gets a clean error or none at all, and changes nothing.
    for bad in (good[:9] + good[10:], good[:9] + good[8:], good[:7] + b"\x55" + good[8:], b"garbage\0"):
        (body,) = talk.raw(bad, 1)
        assert Reply.unpack(body) == Reply(0, 0, Status.CORRUPT)
        assert talk.scores(5) == Status.INCOMPLETE
    # Garbage, then at once the good frame, twice.
    replies = [Reply.unpack(body) for body in talk.raw(b"gar\0bage" + good + good, 4)]
    assert [r for r in replies if r.status != Status.CORRUPT] == [
        Reply(Command.BLOCK, 2, Status.OK, 5, len(content))
    ] * 2
    assert talk.scores(5) == scores_of(content, identity)
