"""A function that runs in a process of its own beside the command, and ends with it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from bnnhw.errors import BnnhwError

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def beside(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Iterator[Callable[[], T]]:
    """Begins ``function(*arguments, **named)``; yields what waits for its result, or raises its error.

    Function, arguments and result are pickled. The process is told to end where the block is left before it has.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, arguments, named))
    process.start()
    sender.close()

    def result() -> T:
        try:
            done, found = receiver.recv()
        except EOFError:
            process.join()
            raise BnnhwError(
                f"{function.__name__} must come to an end, and its process ended with status {process.exitcode}"
            ) from None
        if not done:
            raise found
        value: T = found
        return value

    try:
        yield result
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _work(sender: Connection, function: Callable[..., Any], arguments: Any, named: Any) -> None:
    """What the process does. An interrupt at the terminal goes to the command, which ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        found: tuple[bool, Any] = True, function(*arguments, **named)
    except Exception as error:
        found = False, error
    sender.send(found)


__all__ = ["beside"]
