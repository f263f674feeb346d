"""The host link's protocol: frames, commands, replies, and the byte forms both ends use.

Frames
------
A frame is a content of 6 to 254 bytes: ``body`` then the CRC-32 (zlib's) of ``body``, least significant byte first. On
the wire the content is COBS-encoded and ends with a 0 byte. COBS because no 0 occurs inside a frame, so that a receiver
is in step again at the next 0 whatever came before, and because it costs the same for every image: a content of at most
254 bytes takes exactly 2 bytes more. 32 bits of CRC because a wrong frame taken for a right one is a wrong answer.
An empty frame (0 after 0) means nothing; a sender puts a 0 before each frame, so that garbage before it is not part
of it.

Requests: command, tag, arguments. Replies: command | 0x80, the request's tag, status, then, as the command has it,
image id and a word (4 bytes each), then data. All numbers are little-endian. The tag is the host's; replies carry it
back so that a late reply is known as such.

Commands
--------
IDENTIFY          -> data: `Identity`.
LOAD crc offset.. -> crc, expected offset.       Part of the weight image ``crc``; of no bytes: a question.
BEGIN id          -> id, expected offset.        Starts image ``id``; a partly received one is dropped.
BLOCK id offset.. -> id, expected offset.        Part of image ``id``.
SCORES id first   -> id, first score; data: up to ``Identity.page`` scores from ``first`` on.
COUNTERS          -> data: the engine's counters, 4 bytes each, those of the last finished frame.
PING              -> id of the image begun last (0: none), number of corrupt frames received so far (wraps).

The host chooses image ids (not 0, and never one it used lately: it starts at random). A frame sent twice does no harm:
BEGIN of the image begun last and BLOCK of bytes already taken are acknowledged and ignored; a BLOCK that does not start
at the expected offset is refused and the answer says what is expected, so the host goes back there. Scores are kept
with their image's id for the last `SLOTS` images; an answer can never belong to another image.

Weights
-------
A design whose weights lie in a memory beside the FPGA (`Identity.weight_bytes` not 0) gets them over the line once
after it was configured, as LOADs from offset 0 on. The id in them is the CRC-32 of the whole, so blocks of another
weight image are refused. When all bytes are there, the device reads them back out of the memory and compares the
CRC-32 of what it read: PENDING meanwhile, OK when it is loaded. MISMATCH says that what was read back is something else
and shows its CRC; loading then begins again at offset 0. Before a device is loaded, BEGIN is refused as NOT_LOADED. A
host that was interrupted asks with a LOAD of no bytes where to go on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

VERSION = 2
MAX_CONTENT = 254
"""Bytes of a frame's content: the longest that COBS always encodes with one byte more."""
CRC_BYTES = 4
BLOCK_BYTES = 240
"""Image bytes in one BLOCK, weight bytes in one LOAD."""
WEIGHT_BYTES = 16
"""A weight image is whole bursts of the memory of so many bytes; so is each LOAD."""
DATA_BYTES = 236
"""Bytes of data in one reply."""
RECEIVER_BYTES, SENDER_BYTES, FIFO_BYTES = 512, 256, 512
"""The device's buffers: two frames that come, one that goes, and what waits while a reply is sent or the host is slow
to listen."""
SLOTS = 4
"""Images whose scores are kept or awaited: BEGIN is refused as BUSY when all are awaited."""
REPLY = 0x80


class Command(IntEnum):
    IDENTIFY = 1
    BEGIN = 2
    BLOCK = 3
    SCORES = 4
    COUNTERS = 5
    PING = 6
    LOAD = 7


HEAD_BYTES = 10
"""Bytes of a request's body before a block's: command, tag, image id, word."""
BODY_BYTES = {
    Command.IDENTIFY: (2, 2),
    Command.BEGIN: (6, 6),
    Command.BLOCK: (HEAD_BYTES + 1, HEAD_BYTES + BLOCK_BYTES),
    Command.SCORES: (HEAD_BYTES, HEAD_BYTES),
    Command.COUNTERS: (2, 2),
    Command.PING: (2, 2),
    Command.LOAD: (HEAD_BYTES, HEAD_BYTES + BLOCK_BYTES),
}
"""Fewest and most body bytes of each command; others are answered with BAD_LENGTH, as is a LOAD with a part of a
burst."""


class Status(IntEnum):
    """First byte of a reply's body after command and tag."""

    OK = 0
    BUSY = 1  # cannot be taken now; send it again
    PENDING = 2  # the image is complete, its scores are not there yet; the weights are there, and being read back
    INCOMPLETE = 3  # the image is not complete
    UNKNOWN_IMAGE = 4  # not begun, overwritten or begun over; a LOAD of other weights than the design's
    WRONG_OFFSET = 5  # the word says which offset is expected
    OUT_OF_RANGE = 6  # a block beyond the image's end, a first score beyond the last, image id 0
    BAD_LENGTH = 7  # the command has another number of argument bytes
    BAD_COMMAND = 8
    CORRUPT = 9  # a frame with wrong CRC or length; the reply's command and tag are 0
    NOT_LOADED = 10  # no image before the weights are loaded
    MISMATCH = 11  # the weights read back are others than those sent; instead of the id comes their CRC


class LinkError(Exception):
    """Bytes that are no valid frame, or a frame that is no valid reply."""


@dataclass(frozen=True)
class Identity:
    """What a device says of itself.

    build: 64-bit hash of the compiled design. height, width, channels: of the image, one byte a value in this order.
    scores, score_bits: number and width (two's complement) of the scores. counters: number of 32-bit counters.
    clock_hz: the design's clock, rounded. weight_bytes, weight_crc: of the weight image that it wants to be loaded
    with, 0 where all weights are part of the design.
    """

    build: int
    height: int
    width: int
    channels: int
    scores: int
    score_bits: int
    counters: int
    clock_hz: int
    weight_bytes: int = 0
    weight_crc: int = 0
    version: int = VERSION

    FORMAT = "<BQHHHHBBIII"

    @property
    def image_bytes(self) -> int:
        return self.height * self.width * self.channels

    @property
    def score_bytes(self) -> int:
        return -(-self.score_bits // 8)

    @property
    def page(self) -> int:
        """Scores in one reply."""
        return DATA_BYTES // self.score_bytes

    def pack(self) -> bytes:
        return struct.pack(
            self.FORMAT,
            self.version,
            self.build,
            self.height,
            self.width,
            self.channels,
            self.scores,
            self.score_bits,
            self.counters,
            self.clock_hz,
            self.weight_bytes,
            self.weight_crc,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Identity:
        """Raises LinkError when ``data`` is of another length or protocol version."""
        if data[:1] and data[0] != VERSION:
            raise LinkError(f"protocol version must be {VERSION}, not {data[0]}")
        if len(data) != struct.calcsize(cls.FORMAT):
            raise LinkError(f"identity must have {struct.calcsize(cls.FORMAT)} bytes, not {len(data)}")
        return cls(*struct.unpack(cls.FORMAT, data)[1:])


@dataclass(frozen=True)
class Request:
    """One command of the host; ``image`` (LOAD: CRC) and ``word`` (SCORES: first, else offset) where it has them."""

    command: int
    tag: int
    image: int = 0
    word: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        head = struct.pack("<BB", self.command, self.tag)
        match self.command:
            case Command.BEGIN:
                return head + struct.pack("<I", self.image)
            case Command.BLOCK | Command.SCORES | Command.LOAD:
                return head + struct.pack("<II", self.image, self.word) + self.payload
            case _:
                return head + self.payload

    @classmethod
    def unpack(cls, body: bytes) -> Request:
        """Splits a body whose length is right for its command (`BODY_BYTES`)."""
        command, tag, rest = body[0], body[1], body[2:]
        match command:
            case Command.BEGIN:
                return cls(command, tag, image=int.from_bytes(rest, "little"))
            case Command.BLOCK | Command.SCORES | Command.LOAD:
                image, word = struct.unpack("<II", rest[:8])
                return cls(command, tag, image, word, rest[8:])
            case _:
                return cls(command, tag, payload=rest)


@dataclass(frozen=True)
class Reply:
    """One answer of the device; ``image`` and ``word`` where `has_word`."""

    command: int
    tag: int
    status: int
    image: int = 0
    word: int = 0
    data: bytes = b""

    @property
    def has_word(self) -> bool:
        return has_word(self.command, self.status)

    def pack(self) -> bytes:
        head = struct.pack("<BBB", self.command | REPLY, self.tag, self.status)
        return head + (struct.pack("<II", self.image, self.word) if self.has_word else b"") + self.data

    @classmethod
    def unpack(cls, body: bytes) -> Reply:
        """Raises LinkError when ``body`` is no reply of this protocol."""
        if len(body) < 3 or not body[0] & REPLY:
            raise LinkError(f"reply must start with a command of 128 or more, tag and status, not {body[:3].hex()!r}")
        command, tag, status, rest = body[0] & ~REPLY, body[1], body[2], body[3:]
        if status not in Status.__members__.values():
            raise LinkError(f"reply status must be one of 0 to {max(Status)}, not {status}")
        if not has_word(command, status):
            return cls(command, tag, status, data=rest)
        if len(rest) < 8:
            raise LinkError(f"reply to {Command(command).name} must have at least 11 bytes, not {len(body)}")
        image, word = struct.unpack("<II", rest[:8])
        return cls(command, tag, status, image, word, rest[8:])


def has_word(command: int, status: int) -> bool:
    """Whether a reply carries image id and word."""
    understood = status not in (Status.BAD_LENGTH, Status.BAD_COMMAND, Status.CORRUPT)
    return understood and command in (Command.BEGIN, Command.BLOCK, Command.SCORES, Command.PING, Command.LOAD)


def cobs_encode(content: bytes) -> bytes:
    """COBS without the closing 0, for contents of at most `MAX_CONTENT` bytes: one byte more, none of them 0."""
    assert len(content) <= MAX_CONTENT
    return b"".join(bytes([len(run) + 1]) + run for run in content.split(b"\0"))


def cobs_decode(coded: bytes) -> bytes:
    """Inverse of `cobs_encode`. Raises LinkError when a run goes beyond the end or ``coded`` holds a 0."""
    runs, position = [], 0
    while position < len(coded):
        length = coded[position]
        run = coded[position + 1 : position + length]
        if length == 0 or len(run) != length - 1 or 0 in run:
            raise LinkError(f"frame must be COBS-encoded: run of {length} at {position} of {len(coded)}")
        runs.append(run)
        position += length
    return b"\0".join(runs)


def encode_frame(body: bytes) -> bytes:
    """``body`` with its CRC as it goes over the wire, a leading 0 and the closing 0 included."""
    return b"\0" + cobs_encode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")) + b"\0"


def decode_frame(coded: bytes) -> bytes:
    """The body of what came between two 0 bytes. Raises LinkError when it is no whole frame with the right CRC."""
    content = cobs_decode(coded)
    body, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
    if not 2 + CRC_BYTES <= len(content) <= MAX_CONTENT:
        raise LinkError(f"frame must have {2 + CRC_BYTES} to {MAX_CONTENT} bytes, not {len(content)}")
    if zlib.crc32(body) != int.from_bytes(crc, "little"):
        raise LinkError(f"frame of {len(content)} bytes must end with the CRC-32 of its body")
    return body


class FrameReader:
    """Cuts a stream of bytes into frames; bad ones are counted in ``corrupt`` and left out."""

    def __init__(self) -> None:
        self.corrupt = 0
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Bodies of the frames that end in ``data``, None for each corrupt one."""
        *complete, self._rest = (self._rest + data).split(b"\0")
        for coded in complete:
            if not coded:
                continue
            try:
                yield decode_frame(coded)
            except LinkError:
                self.corrupt += 1
                yield None


def image_wire_bytes(identity: Identity) -> int:
    """Bytes from host to device for one image and the request of its scores, without errors."""
    blocks = [min(BLOCK_BYTES, identity.image_bytes - at) for at in range(0, identity.image_bytes, BLOCK_BYTES)]
    pages = -(-identity.scores // identity.page)
    bodies = [6, *(10 + size for size in blocks), *([10] * pages)]
    return sum(body + CRC_BYTES + 3 for body in bodies)


def reply_wire_bytes(identity: Identity) -> int:
    """Bytes from device to host for one image and its scores, without errors."""
    blocks = -(-identity.image_bytes // BLOCK_BYTES)
    pages = -(-identity.scores // identity.page)
    return (1 + blocks + pages) * (11 + CRC_BYTES + 3) + identity.scores * identity.score_bytes


def frames_per_second(identity: Identity, baud: int) -> float:
    """Images a second that a line of ``baud`` (8N1: 10 bits a byte) carries; both directions run at once."""
    return baud / 10 / max(image_wire_bytes(identity), reply_wire_bytes(identity))
