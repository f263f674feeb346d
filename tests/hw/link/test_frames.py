"""Frame receiver and sender against the protocol's own encoder and decoder."""

import random

import pytest

from bnnhw.hw.link.frame_in import FrameReceiver
from bnnhw.hw.link.frame_out import FrameSender
from bnnhw.sim.kit import Bench
from bnnhw.spec.link import (
    CRC_BYTES,
    MAX_CONTENT,
    FrameReader,
    LinkError,
    cobs_decode,
    cobs_encode,
    decode_frame,
    encode_frame,
)

LENGTHS = (2, 3, 9, 10, 11, 100, MAX_CONTENT - CRC_BYTES)


def bodies(seed):
    rng = random.Random(seed)
    for length in LENGTHS:
        yield bytes(length)
        yield bytes([255]) * length
        yield rng.randbytes(length)
        yield bytes(rng.choice((0, 0, 1, 254, 255)) for _ in range(length))


def damaged(frame, rng):
    """One fault: a flipped bit, a lost byte, a doubled byte, a cut."""
    place = rng.randrange(1, len(frame) - 1)
    match rng.randrange(4):
        case 0:
            return frame[:place] + bytes([frame[place] ^ 1 << rng.randrange(8)]) + frame[place + 1 :]
        case 1:
            return frame[:place] + frame[place + 1 :]
        case 2:
            return frame[:place] + frame[place : place + 1] + frame[place:]
        case _:
            return frame[:place] + b"\0"


def test_cobs_round_trip_and_length():
    for body in bodies(1):
        coded = cobs_encode(body)
        assert 0 not in coded
        assert len(coded) == len(body) + 1
        assert cobs_decode(coded) == body


@pytest.mark.parametrize("coded", [b"\x03\x01", b"\xff" + b"\x01" * 253, b"\x02\x01\x05", b"\x03\x00\x01"])
def test_cobs_refuses_bad_runs(coded):
    with pytest.raises(LinkError, match=r"^frame must be COBS-encoded: run of \d+ at \d+ of \d+$"):
        cobs_decode(coded)


def test_decode_refuses_lengths_and_crc():
    frame = encode_frame(b"body").strip(b"\0")
    assert decode_frame(frame) == b"body"
    with pytest.raises(LinkError, match=r"^frame must have 6 to 254 bytes, not 5$"):
        decode_frame(cobs_encode(b"12345"))
    with pytest.raises(LinkError, match=r"^frame of 8 bytes must end with the CRC-32 of its body$"):
        decode_frame(frame[:1] + bytes([frame[1] ^ 2]) + frame[2:])


def receive(wire, *, stall_in=0.0, stall_out=0.0, seed=0):
    """Frames that the hardware finds in ``wire`` as bodies, None for bad ones; the buffer is read back."""
    expected = list(FrameReader().feed(wire))
    dut = FrameReceiver()
    bench = Bench(dut, seed=seed, watchdog=2000)
    bench.drive(dut.i, wire, stall=stall_in)
    rng, found = random.Random(seed), []

    async def take(ctx):
        for _ in expected:
            while not ctx.get(dut.o.valid):
                await ctx.tick()
            while stall_out and rng.random() < stall_out:
                await ctx.tick()
            frame = ctx.get(dut.o.payload)
            body = bytearray()
            if frame.good:
                for place in range(frame.length):
                    ctx.set(dut.address, frame.bank << 8 | place)
                    await ctx.tick()
                    body.append(ctx.get(dut.data))
                head = bytes([frame.command, frame.tag]) + frame.image.to_bytes(4, "little")
                head += frame.word.to_bytes(4, "little")
                assert head[: len(body)] == body[:10]
            found.append(bytes(body) if frame.good else None)
            ctx.set(dut.hold, rng.random() < 0.5)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    bench.testbench(take)
    bench.run()
    return found, expected


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.9), (0.5, 0.8)])
def test_receiver_finds_every_frame(stall_in, stall_out):
    wire = b"".join(encode_frame(body) for body in bodies(2))
    found, expected = receive(wire, stall_in=stall_in, stall_out=stall_out, seed=3)
    assert found == expected
    assert None not in found


def test_receiver_keeps_step_through_garbage_and_damage():
    rng, wire, whole = random.Random(4), b"", 0
    for body in bodies(5):
        wire += rng.choice((b"", b"\0\0", rng.randbytes(rng.randrange(1, 40))))
        if rng.random() < 0.5:
            wire += damaged(encode_frame(body), rng)
        wire += encode_frame(body)
        whole += 1
    wire += b"\x01" * 700 + encode_frame(b"last one")  # far beyond the longest frame
    found, expected = receive(wire, stall_out=0.3, seed=6)
    assert found == expected
    assert len([body for body in found if body is not None]) == whole + 1
    assert found.count(None) >= whole // 3
    assert found[-2:] == [None, b"last one"]


def test_hold_keeps_a_body_while_others_arrive():
    dut = FrameReceiver()
    bench = Bench(dut, watchdog=3000)
    kept, others = b"body that stays", [bytes([n]) * (30 + n) for n in range(4)]
    bench.drive(dut.i, encode_frame(kept) + b"".join(encode_frame(body) for body in others))

    async def take(ctx):
        for number in range(1 + len(others)):
            while not ctx.get(dut.o.valid):
                await ctx.tick()
            if number == 0:
                bank = ctx.get(dut.o.payload.bank)
            ctx.set(dut.hold, number == 0)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)
        for place, byte in enumerate(kept):
            ctx.set(dut.address, bank << 8 | place)
            await ctx.tick()
            assert ctx.get(dut.data) == byte

    bench.testbench(take)
    bench.run()


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.3, 0.8)])
def test_sender_encodes_like_the_protocol(stall_in, stall_out):
    sent = list(bodies(7))
    wire = b"".join(encode_frame(body) for body in sent)
    dut = FrameSender()
    bench = Bench(dut, seed=8, watchdog=2000)
    tokens = [{"byte": byte, "last": place == len(body) - 1} for body in sent for place, byte in enumerate(body)]
    bench.drive(dut.i, tokens, stall=stall_in)
    got = bench.drain(dut.o, len(wire), stall=stall_out)
    bench.run()
    assert bytes(got) == wire
