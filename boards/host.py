"""The host's end of the link: sends images, gets scores; asks again until an answer is certain."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence

from bnnhw.boards.pipe import Pipe
from bnnhw.errors import BnnhwError
from bnnhw.spec.link import (
    BLOCK_BYTES,
    Command,
    FrameReader,
    Identity,
    LinkError,
    Reply,
    Request,
    Status,
    encode_frame,
)

IN_FLIGHT = 2
"""Images on the way at once: the device computes one while it receives the next."""


class HostError(BnnhwError):
    """The device does not answer, answers nonsense, or is another one than expected."""


class Host:
    """Talks to a device over ``pipe``.

    Every answer is checked to belong to its question. What gets lost or damaged on the line is sent again; after
    ``retries`` tries without progress a HostError says what was missing.

    Parameters
    ----------
    pipe
        To the device; see `bnnhw.boards.pipe`.
    timeout
        Seconds to wait for an answer before the question is sent again.
    retries
        How often in a row.
    window
        Blocks sent ahead of their acknowledgement; a round trip over USB takes longer than a block.
    compute_timeout
        Seconds in which the scores of an image must be there.
    """

    def __init__(
        self,
        pipe: Pipe,
        *,
        timeout: float = 0.3,
        retries: int = 8,
        window: int = 8,
        compute_timeout: float = 10.0,
    ) -> None:
        self._pipe = pipe
        self._timeout, self._retries, self._window = timeout, retries, window
        self._compute_timeout = compute_timeout
        self._quiet = timeout / 10  # of silence: nothing more will come
        self._reader = FrameReader()
        self._replies: list[Reply] = []
        self._tag = 0
        self._image = secrets.randbits(32)
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """What the device says it is; asked for once."""
        if self._identity is None:
            reply = self._ask(Command.IDENTIFY)
            try:
                self._identity = Identity.unpack(reply.data)
            except LinkError as error:
                raise HostError(f"device must speak this program's protocol: {error}") from None
        return self._identity

    def check_build(self, build: int) -> None:
        """Raises HostError when the device runs another design than ``build``."""
        if self.identity.build != build:
            raise HostError(
                f"device must run build {build:016x}, not {self.identity.build:016x}: load the bitstream again"
            )

    def ping(self) -> int:
        """Number of corrupt frames the device has received."""
        return self._ask(Command.PING).word

    def counters(self) -> list[int]:
        """The engine's counters, those of the last finished frame."""
        data = self._ask(Command.COUNTERS).data
        if len(data) != 4 * self.identity.counters:
            raise HostError(f"counters must have {4 * self.identity.counters} bytes, not {len(data)}")
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]

    def infer(self, image: bytes) -> list[int]:
        """All scores of one image (its bytes in y, x, channel order)."""
        return next(self.infer_all([image]))

    def infer_all(self, images: Iterable[bytes]) -> Iterator[list[int]]:
        """Scores of one image after the other; the next image is sent while the device computes."""
        waiting: list[tuple[int, bytes]] = []
        for image in images:
            if len(image) != self.identity.image_bytes:
                raise BnnhwError(f"image must have {self.identity.image_bytes} bytes, not {len(image)}")
            waiting.append((self._send(image), image))
            if len(waiting) == IN_FLIGHT:
                yield self._scores(*waiting.pop(0))
        for number, image in waiting:
            yield self._scores(number, image)

    def close(self) -> None:
        self._pipe.close()

    # Questions and answers.

    def _post(self, command: Command, image: int = 0, word: int = 0, payload: bytes = b"") -> int:
        """Send a request; returns its tag (1 to 255: tag 0 means a frame that the device could not read)."""
        self._tag = self._tag % 255 + 1
        self._pipe.write(encode_frame(Request(command, self._tag, image, word, payload).pack()))
        return self._tag

    def _next_reply(self, patience: float) -> Reply | None:
        """The next valid reply of any kind, or None after ``patience`` seconds without one."""
        end = self._pipe.now() + patience
        while not self._replies and (left := end - self._pipe.now()) > 0:
            for body in self._reader.feed(self._pipe.read(left)):
                try:
                    self._replies += [Reply.unpack(body)] if body is not None else []
                except LinkError:
                    continue  # not from this protocol: as good as silence
        return self._replies.pop(0) if self._replies else None

    def _ask(self, command: Command, image: int = 0, word: int = 0) -> Reply:
        """Send a request until it is answered by anything but BUSY."""
        for _ in range(self._retries):
            tag, patience = self._post(command, image, word), self._timeout
            while (reply := self._next_reply(patience)) is not None:
                if reply.status == Status.CORRUPT:
                    patience = self._quiet  # perhaps this request: not worth a long wait
                if (reply.tag, reply.command) != (tag, command):
                    continue  # late answer to an earlier question
                if reply.status in (Status.BAD_COMMAND, Status.BAD_LENGTH):
                    raise HostError(f"device must know command {command.name}, but answers {Status(reply.status).name}")
                if reply.status == Status.BUSY:
                    self._pipe.sleep(self._quiet)
                    break
                return reply
        raise HostError(
            f"device must answer {command.name} within {self._timeout:g} s, but did not in {self._retries} tries"
        )

    # Images.

    def _send(self, image: bytes) -> int:
        """Send an image whole; returns its id."""
        for _ in range(self._retries):
            self._image = self._image % 0xFFFF_FFFF + 1
            begun = self._ask_patiently(Command.BEGIN, self._image)
            if begun.status == Status.OK and begun.image == self._image and self._send_blocks(image, begun.word):
                return self._image
        raise HostError(f"device must accept an image, but lost it {self._retries} times")

    def _ask_patiently(self, command: Command, image: int, word: int = 0) -> Reply:
        """`_ask`, again while the engine is at work, at most ``compute_timeout`` seconds."""
        end = self._pipe.now() + self._compute_timeout
        while True:
            try:
                reply = self._ask(command, image, word)
            except HostError:
                if self._pipe.now() > end or not self._alive():
                    raise
                continue
            if reply.status != Status.PENDING:
                return reply
            if self._pipe.now() > end:
                raise HostError(f"device must have the scores within {self._compute_timeout:g} s")
            self._pipe.sleep(min(0.001, self._quiet))

    def _alive(self) -> bool:
        try:
            self._ask(Command.PING)
        except HostError:
            return False
        return True

    def _send_blocks(self, image: bytes, expected: int) -> bool:
        """Send all blocks from ``expected`` on, a window at a time ahead; False when the device lost the image.

        A block that is refused, or a frame that came damaged, ends the window: when the answers to what is still on
        the line have come, the next window starts at what the device expects. (Sending again at each refusal would
        fill the line with blocks that are refused in their turn.)
        """
        tries, end = 0, self._pipe.now() + self._compute_timeout
        while expected < len(image):
            reached, busy = self._send_window(image, expected)
            if reached is None:
                return False
            if reached > expected:
                tries, end = 0, self._pipe.now() + self._compute_timeout
            expected, tries = max(expected, reached), tries + (not busy)
            if tries > self._retries or self._pipe.now() > end:
                raise HostError(f"device must acknowledge image bytes from {expected} on, but did not")
        return True

    def _send_window(self, image: bytes, expected: int) -> tuple[int | None, bool]:
        """Send blocks from ``expected`` on until all are taken or one is not; (offset reached, or None; was busy)."""
        offset, patience, busy = expected, self._timeout, False
        ahead: set[int] = set()  # tags of the blocks not yet answered
        while True:
            while patience == self._timeout and offset < len(image) and len(ahead) < self._window:
                block = image[offset : offset + BLOCK_BYTES]
                ahead.add(self._post(Command.BLOCK, self._image, offset, block))
                offset += len(block)
            reply = self._next_reply(patience) if ahead else None
            if reply is None:
                return expected, busy
            if reply.status != Status.CORRUPT:
                if reply.tag not in ahead or reply.command != Command.BLOCK:
                    continue  # late answer to an earlier question
                ahead.remove(reply.tag)
                if reply.status == Status.UNKNOWN_IMAGE or reply.image != self._image:
                    return None, busy
                if reply.status not in (Status.OK, Status.WRONG_OFFSET, Status.BUSY):
                    raise HostError(f"device must accept a block, but answers {Status(reply.status).name}")
                expected = max(expected, reply.word)
                busy |= reply.status == Status.BUSY
            if reply.status != Status.OK:
                patience = self._quiet

    def _scores(self, number: int, image: bytes) -> list[int]:
        """All scores of image ``number``; sends it once more when the device has lost it."""
        for _ in range(self._retries):
            scores = self._pages(number)
            if scores is not None:
                return scores
            number = self._send(image)
        raise HostError(f"device must keep an image's scores until they are read, but lost them {self._retries} times")

    def _pages(self, number: int) -> list[int] | None:
        identity, scores = self.identity, list[int]()
        while len(scores) < identity.scores:
            reply = self._ask_patiently(Command.SCORES, number, len(scores))
            if reply.status in (Status.UNKNOWN_IMAGE, Status.INCOMPLETE):
                return None
            if reply.status != Status.OK or (reply.image, reply.word) != (number, len(scores)):
                raise HostError(
                    f"device must send scores of image {number} from {len(scores)} on, but answers "
                    f"{Status(reply.status).name} for image {reply.image} from {reply.word} on"
                )
            scores += _unpack(reply.data, identity.score_bytes)
            if not len(reply.data) or len(scores) > identity.scores:
                raise HostError(f"device must send {identity.scores} scores, not {len(scores)}")
        return scores


def _unpack(data: bytes, size: int) -> Sequence[int]:
    if len(data) % size:
        raise HostError(f"scores must come as {size} bytes each, not {len(data)} in all")
    return [int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size)]
