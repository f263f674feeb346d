"""The host program against the Python device, and against devices that do not behave."""

import random

import pytest

from bnnhw.boards.host import Host, HostError
from bnnhw.boards.pipe import SerialPipe
from bnnhw.boards.simulated import SimulatedDevice
from bnnhw.errors import BnnhwError
from bnnhw.spec.link import (
    Command,
    Identity,
    Reply,
    Status,
    encode_frame,
    frames_per_second,
    image_wire_bytes,
    reply_wire_bytes,
)

IDENTITY = Identity(
    build=0xFEED_0000_0000_BEEF,
    height=9,
    width=9,
    channels=7,
    scores=200,
    score_bits=17,
    counters=3,
    clock_hz=100_000_000,
)


def engine(image):
    return [(sum(image) * (c + 1) - 60_000) % 120_001 - 60_000 for c in range(IDENTITY.scores)]


def picture(seed):
    return random.Random(seed).randbytes(IDENTITY.image_bytes)


class Counting(SimulatedDevice):
    """Counts the bytes both ways."""

    sent = received = 0

    def write(self, data):
        self.sent += len(data)
        super().write(data)

    def read(self, timeout):
        data = super().read(timeout)
        self.received += len(data)
        return data


class Misbehaving(SimulatedDevice):
    """Hands every reply to ``change`` before it is sent; None sends nothing."""

    def __init__(self, change):
        super().__init__(IDENTITY, engine)
        self.change, self.count = change, 0

    def answer(self, body):
        self.count += 1
        return self.change(self.count, super().answer(body))

    def write(self, data):
        for body in self._reader.feed(data):
            reply = self.answer(body)
            if reply is not None:
                self._replies += encode_frame(reply.pack())


def test_scores_counters_identity():
    host = Host(SimulatedDevice(IDENTITY, engine, lambda: [1, 2**32 - 1, 3]))
    images = [picture(n) for n in range(7)]
    assert list(host.infer_all(images)) == [engine(image) for image in images]
    assert host.infer(images[3]) == engine(images[3])
    assert host.counters() == [1, 2**32 - 1, 3]
    assert host.identity == IDENTITY
    assert host.ping() == 0
    host.check_build(IDENTITY.build)


def test_wire_bytes_are_as_predicted():
    device = Counting(IDENTITY, engine)
    host = Host(device)
    assert host.identity.scores == IDENTITY.scores
    device.sent = device.received = 0
    host.infer(picture(1))
    assert device.sent == image_wire_bytes(IDENTITY)
    assert device.received == reply_wire_bytes(IDENTITY)
    assert frames_per_second(IDENTITY, 3_000_000) == 300_000 / max(device.sent, device.received)


def test_wrong_build():
    with pytest.raises(HostError) as caught:
        Host(SimulatedDevice(IDENTITY, engine)).check_build(1)
    assert str(caught.value) == (
        "device must run build 0000000000000001, not feed00000000beef: load the bitstream again"
    )


def test_wrong_version():
    def change(count, reply):
        return Reply(reply.command, reply.tag, Status.OK, data=b"\x03" + reply.data[1:])

    with pytest.raises(HostError) as caught:
        _ = Host(Misbehaving(change)).identity
    assert str(caught.value) == "device must speak this program's protocol: protocol version must be 2, not 3"


def test_image_of_the_wrong_size():
    with pytest.raises(BnnhwError) as caught:
        Host(SimulatedDevice(IDENTITY, engine)).infer(bytes(5))
    assert str(caught.value) == "image must have 567 bytes, not 5"


def test_silent_device():
    with pytest.raises(HostError) as caught:
        Host(Misbehaving(lambda count, reply: None), retries=3).ping()
    assert str(caught.value) == "device must answer PING within 0.3 s, but did not in 3 tries"


@pytest.mark.parametrize("every", [2, 3, 5])
def test_lost_replies(every):
    host = Host(Misbehaving(lambda count, reply: None if count % every == 0 else reply))
    for seed in range(4):
        assert host.infer(picture(seed)) == engine(picture(seed))


def test_replies_that_come_again_or_late():
    kept = []

    class Late(SimulatedDevice):
        def write(self, data):
            super().write(data)
            kept.append(self._replies)
            self._replies = b"".join(kept[-3:])

    host = Host(Late(IDENTITY, engine))
    for seed in range(4):
        assert host.infer(picture(seed)) == engine(picture(seed))


def test_device_that_forgets_images():
    forgets = iter([True, True, False, False, True, False])

    class Forgetful(SimulatedDevice):
        def answer(self, body):
            if body is not None and body[0] == Command.SCORES and next(forgets, False):
                self._images.clear()
            return super().answer(body)

    assert Host(Forgetful(IDENTITY, engine)).infer(picture(1)) == engine(picture(1))


def test_scores_of_another_image_are_not_taken():
    def change(count, reply):
        if reply.command != Command.SCORES:
            return reply
        return Reply(reply.command, reply.tag, reply.status, reply.image ^ 1, reply.word, reply.data)

    host = Host(Misbehaving(change))
    with pytest.raises(HostError, match=r"^device must send scores of image \d+ from 0 on, but answers OK for image "):
        host.infer(picture(1))


def test_device_that_is_never_done():
    def change(count, reply):
        pending = reply.command == Command.SCORES
        return Reply(reply.command, reply.tag, Status.PENDING, reply.image, 0) if pending else reply

    with pytest.raises(HostError) as caught:
        Host(Misbehaving(change), compute_timeout=0.5).infer(picture(1))
    assert str(caught.value) == "device must have the scores within 0.5 s"


def test_port_that_is_not_there(tmp_path):
    with pytest.raises(BnnhwError, match=r"^port must be a serial port that can be opened, not '.*/none': "):
        SerialPipe(str(tmp_path / "none"), 3_000_000)
