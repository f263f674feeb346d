"""The host's end of the link: loads weights, sends images, gets scores; asks again until an answer is certain."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence

from bnnhw.boards.line import BlockSender, HostError, Line, Progress
from bnnhw.boards.pipe import Pipe
from bnnhw.errors import BnnhwError
from bnnhw.spec.link import Command, Identity, LinkError, Reply, Status

IN_FLIGHT = 2
"""Images on the way at once: the device computes one while it receives the next."""


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
        self._line = Line(pipe, timeout=timeout, retries=retries, window=window, compute_timeout=compute_timeout)
        self._image = secrets.randbits(32)
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """What the device says it is; asked for once."""
        if self._identity is None:
            reply = self._line.ask(Command.IDENTIFY)
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
        return self._line.ask(Command.PING).word

    def counters(self) -> list[int]:
        """The engine's counters, those of the last finished frame."""
        data = self._line.ask(Command.COUNTERS).data
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
        self._line.pipe.close()

    # Weights.

    def load(self, weights: bytes, progress: Progress = lambda done, size: None) -> bool:
        """Load the device with its weight image, from where an interrupted loading ended; False where it is loaded.

        Raises HostError when it wants other weights, or what it reads back out of its memory is not what it got.
        """
        crc, sent = zlib.crc32(weights), False
        for _ in range(self._line.retries):
            state = self._line.ask_patiently(Command.LOAD, crc)
            if state is None:
                raise HostError(f"device must have checked its weights within {self._line.compute_timeout:g} s")
            if state.status == Status.UNKNOWN_IMAGE or len(weights) != self.identity.weight_bytes:
                wanted = f"{self.identity.weight_bytes} bytes with CRC {self.identity.weight_crc:08x}"
                raise HostError(
                    f"weights must be the {wanted} that the device wants, not {len(weights)} with {crc:08x}"
                )
            if state.status == Status.MISMATCH and sent:
                raise HostError(
                    f"device must read its weights back with CRC {crc:08x}, but reads {state.image:08x}: the SDRAM, or "
                    "the phase of its clock on this board (docs/sdram.md), is at fault"
                )
            if state.status == Status.OK and state.word == len(weights):
                return sent
            BlockSender(self._line, Command.LOAD, crc, weights).send(state.word, progress)
            sent = True
        raise HostError(f"device must keep its weights while they are loaded, but lost them {self._line.retries} times")

    # Images.

    def _send(self, image: bytes) -> int:
        """Send an image whole; returns its id."""
        line = self._line
        for _ in range(line.retries):
            self._image = self._image % 0xFFFF_FFFF + 1
            begun = self._ask(Command.BEGIN, self._image)
            if begun.status == Status.NOT_LOADED:
                raise HostError("device must be loaded with its weights before it takes an image")
            blocks = BlockSender(line, Command.BLOCK, self._image, image)
            if begun.status == Status.OK and begun.image == self._image and blocks.send(begun.word):
                return self._image
        raise HostError(f"device must accept an image, but lost it {line.retries} times")

    def _ask(self, command: Command, image: int, word: int = 0) -> Reply:
        """A question that may have to wait for the engine."""
        reply = self._line.ask_patiently(command, image, word)
        if reply is None:
            raise HostError(f"device must have the scores within {self._line.compute_timeout:g} s")
        return reply

    def _scores(self, number: int, image: bytes) -> list[int]:
        """All scores of image ``number``; sends it once more when the device has lost it."""
        for _ in range(self._line.retries):
            scores = self._pages(number)
            if scores is not None:
                return scores
            number = self._send(image)
        raise HostError(
            f"device must keep an image's scores until they are read, but lost them {self._line.retries} times"
        )

    def _pages(self, number: int) -> list[int] | None:
        identity, scores = self.identity, list[int]()
        while len(scores) < identity.scores:
            reply = self._ask(Command.SCORES, number, len(scores))
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


__all__ = ["Host", "HostError"]
