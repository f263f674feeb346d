"""A device in Python: answers like the hardware, with scores from any function; ``--port sim``."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bnnhw.spec.link import (
    BODY_BYTES,
    REPLY,
    SLOTS,
    WEIGHT_BYTES,
    Command,
    FrameReader,
    Identity,
    Reply,
    Request,
    Status,
    encode_frame,
)

Engine = Callable[[bytes], Sequence[int]]
"""Scores of one image, its bytes in (y, x, channel) order."""


@dataclass
class _Image:
    image: int
    content: bytes = b""
    scores: Sequence[int] | None = None


class SimulatedDevice:
    """A `Pipe` whose other end is a device that keeps `bnnhw.spec.link`; scores are there as soon as an image is.

    Parameters
    ----------
    identity
        What it says it is.
    engine
        Computes the scores.
    counters
        Values of the counters at the moment; zeros by default.
    spoil
        What reading back makes of the weights.
    """

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        counters: Callable[[], Sequence[int]] | None = None,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.identity = identity
        self._spoil = spoil
        self._engine = engine
        self._counters = counters or (lambda: [0] * identity.counters)
        self._reader = FrameReader()
        self._images: list[_Image] = []
        self._replies = b""
        self._weights = b""
        self._read_back: int | None = None  # CRC of the last weights, if they were wrong
        self._time = 0.0

    def write(self, data: bytes) -> None:
        for body in self._reader.feed(data):
            self._replies += encode_frame(self.answer(body).pack())

    def read(self, timeout: float) -> bytes:
        data, self._replies = self._replies, b""
        self._time += 0 if data else timeout
        return data

    def now(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self._time += seconds

    def close(self) -> None:
        """Nothing to free."""

    def answer(self, body: bytes | None) -> Reply:
        """What the device does with a frame (None: a corrupt one), and its reply."""
        if body is None:
            return Reply(0, 0, Status.CORRUPT)
        command, tag = body[0], body[1]
        if command not in BODY_BYTES or (command == Command.LOAD and not self.identity.weight_bytes):
            return Reply(command & ~REPLY, tag, Status.BAD_COMMAND)
        fewest, most = BODY_BYTES[Command(command)]
        if not fewest <= len(body) <= most:
            return Reply(command, tag, Status.BAD_LENGTH)
        request = Request.unpack(body)
        match command:
            case Command.BEGIN:
                return self._begin(request)
            case Command.BLOCK:
                return self._block(request)
            case Command.SCORES:
                return self._scores(request)
            case Command.LOAD:
                return self._load(request)
            case Command.PING:
                return Reply(command, tag, Status.OK, self._current.image, self._reader.corrupt)
            case Command.IDENTIFY:
                return Reply(command, tag, Status.OK, data=self.identity.pack())
            case _:
                data = b"".join(value.to_bytes(4, "little") for value in self._counters())
                return Reply(command, tag, Status.OK, data=data)

    @property
    def _current(self) -> _Image:
        return self._images[-1] if self._images else _Image(0)

    def _begin(self, request: Request) -> Reply:
        status = Status.OK
        if request.image == 0:
            status = Status.OUT_OF_RANGE
        elif not self.loaded:
            status = Status.NOT_LOADED
        elif request.image != self._current.image:
            if self._images and self._current.scores is None:
                self._abandon(self._images.pop())
            kept = [_Image(0) if old.image == request.image else old for old in self._images]
            self._images = [*kept, _Image(request.image)][-SLOTS:]
        return Reply(request.command, request.tag, status, request.image, len(self._current.content))

    def _abandon(self, left: _Image) -> None:
        """The engine gets whole images; the scores of this one are nobody's. One of no bytes it does not know."""
        if left.content:
            self._engine(left.content.ljust(self.identity.image_bytes, b"\0"))
            self._images.append(_Image(0))

    @property
    def loaded(self) -> bool:
        """Whether it has its weights."""
        return len(self._weights) == self.identity.weight_bytes

    def _load(self, request: Request) -> Reply:
        size, status = self.identity.weight_bytes, Status.OK
        end = request.word + len(request.payload)
        number = request.image
        at_expected = request.word == len(self._weights)
        if len(request.payload) % WEIGHT_BYTES:
            return Reply(request.command, request.tag, Status.BAD_LENGTH)
        if request.image != self.identity.weight_crc:
            status = Status.UNKNOWN_IMAGE
        elif self._read_back is not None and (not at_expected or not request.payload):
            status, number = Status.MISMATCH, self._read_back
        elif end > size:
            status = Status.OUT_OF_RANGE
        elif end > len(self._weights):
            if not at_expected:
                status = Status.WRONG_OFFSET
            else:
                self._weights += request.payload
                self._read_back = None
        reply = Reply(request.command, request.tag, status, number, len(self._weights))
        if self.loaded and (found := zlib.crc32(self._spoil(self._weights))) != self.identity.weight_crc:
            self._weights, self._read_back = b"", found
        return reply

    def _block(self, request: Request) -> Reply:
        current, size = self._current, self.identity.image_bytes
        end = request.word + len(request.payload)
        status = Status.OK
        if request.image == 0 or request.image != current.image:
            status = Status.UNKNOWN_IMAGE
        elif end > size:
            status = Status.OUT_OF_RANGE
        elif end > len(current.content):
            if request.word != len(current.content):
                status = Status.WRONG_OFFSET
            else:
                current.content += request.payload
                if len(current.content) == size:
                    current.scores = self._engine(current.content)
        return Reply(request.command, request.tag, status, request.image, len(current.content))

    def _scores(self, request: Request) -> Reply:
        identity = self.identity
        found = next((image for image in self._images if image.image == request.image != 0), None)
        status, data = Status.OK, b""
        if request.word >= identity.scores:
            status = Status.OUT_OF_RANGE
        elif found is None:
            status = Status.UNKNOWN_IMAGE
        elif found.scores is None:
            status = Status.INCOMPLETE
        else:
            page = found.scores[request.word : request.word + identity.page]
            data = b"".join(int(s).to_bytes(identity.score_bytes, "little", signed=True) for s in page)
        return Reply(request.command, request.tag, status, request.image, request.word, data)
