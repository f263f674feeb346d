"""A function that runs in a process of its own beside the command, and ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, ParamSpec, TypeVar

from bnnhw.errors import BnnhwError

P = ParamSpec("P")
T = TypeVar("T")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
POSIX = os.name == "posix"


@contextlib.contextmanager
def beside(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Iterator[Callable[[], T]]:
    """Begins ``function(*arguments, **named)``; yields what waits for its result and gives it, as often as it is asked,
    or raises its error.

    Function, arguments and result are pickled. The process, and all that it started, are told to end where the block is
    left before it has.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,))

    def died() -> BnnhwError:
        process.join()
        return BnnhwError(
            f"{function.__name__} must come to an end, and its process ended with status {process.exitcode}"
        )

    @cache
    def result() -> T:
        try:
            done, found = ours.recv()
        except (EOFError, OSError):
            raise died() from None
        if not done:
            raise found
        value: T = found
        return value

    if POSIX:
        resource_tracker.ensure_running()  # where it is not, starting it lets interrupts through
    try:
        with theirs, _later():
            process.start()
        try:
            ours.send((function, arguments, named))
        except OSError:
            raise died() from None
        yield result
    finally:
        ours.close()
        if process.pid is not None:
            _end(process, process.pid)


@contextlib.contextmanager
def _later() -> Iterator[None]:
    """Interrupts wait for the end of the block; a process that is started in it gets none before it is ready."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # blocked for the process that is started; held back here, where any thread may get them
    handlers = {number: signal.signal(number, lambda got, _: came.append(got)) for number in INTERRUPTS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS) if POSIX else set()
    try:
        yield
    finally:
        if POSIX:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for found in came:
        signal.raise_signal(found)


def _end(process: SpawnProcess, group: int) -> None:
    """Ends it with what it started, and waits for it."""
    try:
        os.killpg(group, signal.SIGTERM) if POSIX else process.terminate()
    except (ProcessLookupError, PermissionError):  # it leads no group yet, or has ended
        process.terminate()
    process.join()


def _work(channel: Connection) -> None:
    """What the process does. An interrupt at the terminal goes to the command, which ends this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if POSIX:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    try:
        function, arguments, named = channel.recv()
    except (EOFError, ConnectionResetError):  # nobody waits any more
        return
    try:
        found: tuple[bool, Any] = True, function(*arguments, **named)
    except Exception as error:
        found = False, error
    with contextlib.suppress(BrokenPipeError):
        channel.send(found)


__all__ = ["beside"]
