"""Questions and answers over a pipe: every answer belongs to its question, and what gets lost is sent again."""

from __future__ import annotations

from collections.abc import Callable

from bnnhw.boards.pipe import Pipe
from bnnhw.errors import BnnhwError
from bnnhw.spec.link import BLOCK_BYTES, Command, FrameReader, LinkError, Reply, Request, Status, encode_frame

Progress = Callable[[int, int], None]
"""Called with the bytes that the device has, and all there are."""


class HostError(BnnhwError):
    """The device does not answer, answers nonsense, or is another one than expected."""


class Line:
    """Requests to a device and its replies; parameters as those of `Host`."""

    def __init__(self, pipe: Pipe, *, timeout: float, retries: int, window: int, compute_timeout: float) -> None:
        self.pipe = pipe
        self.timeout, self.retries, self.window = timeout, retries, window
        self.compute_timeout = compute_timeout
        self.quiet = timeout / 10  # of silence: nothing more will come
        self._reader = FrameReader()
        self._replies: list[Reply] = []
        self._tag = 0

    def post(self, command: Command, image: int = 0, word: int = 0, payload: bytes = b"") -> int:
        """Send a request; returns its tag (1 to 255: tag 0 means a frame that the device could not read)."""
        self._tag = self._tag % 255 + 1
        self.pipe.write(encode_frame(Request(command, self._tag, image, word, payload).pack()))
        return self._tag

    def next_reply(self, patience: float) -> Reply | None:
        """The next valid reply of any kind, or None after ``patience`` seconds without one."""
        end = self.pipe.now() + patience
        while not self._replies and (left := end - self.pipe.now()) > 0:
            for body in self._reader.feed(self.pipe.read(left)):
                try:
                    self._replies += [Reply.unpack(body)] if body is not None else []
                except LinkError:
                    continue  # not from this protocol: as good as silence
        return self._replies.pop(0) if self._replies else None

    def ask(self, command: Command, image: int = 0, word: int = 0) -> Reply:
        """Send a request until it is answered by anything but BUSY. Raises HostError when it never is."""
        for _ in range(self.retries):
            tag, patience = self.post(command, image, word), self.timeout
            while (reply := self.next_reply(patience)) is not None:
                if reply.status == Status.CORRUPT:
                    patience = self.quiet  # perhaps this request: not worth a long wait
                if (reply.tag, reply.command) != (tag, command):
                    continue  # late answer to an earlier question
                if reply.status in (Status.BAD_COMMAND, Status.BAD_LENGTH):
                    raise HostError(f"device must know command {command.name}, but answers {Status(reply.status).name}")
                if reply.status == Status.BUSY:
                    self.pipe.sleep(self.quiet)
                    break
                return reply
        raise HostError(
            f"device must answer {command.name} within {self.timeout:g} s, but did not in {self.retries} tries"
        )

    def ask_patiently(self, command: Command, image: int, word: int = 0) -> Reply | None:
        """`ask`, again while the device is at work; None when it still is after ``compute_timeout`` seconds."""
        end = self.pipe.now() + self.compute_timeout
        while True:
            try:
                reply = self.ask(command, image, word)
            except HostError:
                if self.pipe.now() > end or not self._alive():
                    raise
                continue
            if reply.status != Status.PENDING:
                return reply
            if self.pipe.now() > end:
                return None
            self.pipe.sleep(min(0.001, self.quiet))

    def _alive(self) -> bool:
        try:
            self.ask(Command.PING)
        except HostError:
            return False
        return True


class BlockSender:
    """Sends a long content as blocks of one command, a window of them ahead of their acknowledgements.

    A block that is refused, or a frame that came damaged, ends the window: when the answers to what is still on the
    line have come, the next window starts at what the device expects. (Sending again at each refusal would fill the
    line with blocks that are refused in their turn.)
    """

    def __init__(self, line: Line, command: Command, number: int, content: bytes) -> None:
        self.line, self.command, self.number, self.content = line, command, number, content
        self.expected = 0

    def send(self, expected: int, progress: Progress = lambda done, size: None) -> bool:
        """Send all from byte ``expected`` on; False when the device lost what it had.

        Raises HostError when it acknowledges nothing more, or refuses a block for a reason that will not pass.
        """
        line, self.expected = self.line, expected
        tries, end = 0, line.pipe.now() + line.compute_timeout
        while self.expected < len(self.content):
            before = self.expected
            kept, busy = self._send_window(progress)
            if not kept:
                return False
            if self.expected > before:
                tries, end = 0, line.pipe.now() + line.compute_timeout
            tries += not busy
            if tries > line.retries or line.pipe.now() > end:
                what = "weight" if self.command == Command.LOAD else "image"
                raise HostError(f"device must acknowledge {what} bytes from {self.expected} on, but did not")
        return True

    def _send_window(self, progress: Progress) -> tuple[bool, bool]:
        """Send blocks until all are taken or one is not; whether the device kept what it had, and whether it was
        busy."""
        line, start, offset = self.line, self.expected, self.expected
        patience, busy = line.timeout, False
        ahead: set[int] = set()  # tags of the blocks not yet answered
        while True:
            while patience == line.timeout and offset < len(self.content) and len(ahead) < line.window:
                block = self.content[offset : offset + BLOCK_BYTES]
                ahead.add(line.post(self.command, self.number, offset, block))
                offset += len(block)
            reply = line.next_reply(patience) if ahead else None
            if reply is None:
                return True, busy
            if reply.status != Status.CORRUPT:
                if reply.tag not in ahead or reply.command != self.command:
                    continue  # late answer to an earlier question
                ahead.remove(reply.tag)
                if self._lost(reply, start):
                    return False, busy
                if reply.status not in (Status.OK, Status.PENDING, Status.WRONG_OFFSET, Status.BUSY):
                    raise HostError(f"device must accept a block, but answers {Status(reply.status).name}")
                if reply.word > self.expected:
                    self.expected = reply.word
                    progress(self.expected, len(self.content))
                busy |= reply.status == Status.BUSY
            if reply.status not in (Status.OK, Status.PENDING):
                patience = line.quiet

    def _lost(self, reply: Reply, start: int) -> bool:
        """Whether the device no longer has what it acknowledged: it was begun over, or started anew."""
        return (
            (self.command == Command.BLOCK and reply.status == Status.UNKNOWN_IMAGE)
            or reply.status == Status.MISMATCH
            or reply.image != self.number
            or reply.word < start
        )


__all__ = ["BlockSender", "HostError", "Line", "Progress"]
