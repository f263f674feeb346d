"""Functions that run in a process beside the command: results, errors, and that none outlives its block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from bnnhw.cli.beside import beside
from bnnhw.errors import BnnhwError


def test_result() -> None:
    with beside(divmod, 17, 5) as result:
        assert result() == (3, 2)


def test_its_error_is_raised_where_it_is_waited_for() -> None:
    with beside(divmod, 17, 0) as result, pytest.raises(ZeroDivisionError):
        result()


def test_a_process_that_dies_is_told() -> None:
    with beside(os._exit, 3) as result, pytest.raises(BnnhwError, match="_exit must come to an end.*status 3"):
        result()


def test_what_is_not_awaited_ends_with_the_block() -> None:
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), beside(time.sleep, 600):
        raise KeyboardInterrupt
    assert time.monotonic() - start < 60


def beat(path: Path) -> None:
    """A shell in a thread writes for half a minute; who waits for threads waits for it."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(subprocess.run, ["sh", "-c", f"for n in $(seq 300); do echo >> {path}; sleep 0.1; done"]).result()


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    beats, start = tmp_path / "beats", time.monotonic()
    with beside(beat, beats):
        while not beats.exists():
            time.sleep(0.01)
    size = beats.stat().st_size
    time.sleep(0.5)
    assert beats.stat().st_size == size
    assert time.monotonic() - start < 20


def test_interrupted_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt comes when the process is there, and finds it."""
    start, started = SpawnProcess.start, []

    def interrupted(self: SpawnProcess) -> None:
        start(self)
        started.append(self)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), beside(time.sleep, 600):
        pass
    assert started[0].exitcode is not None


def test_interrupted_at_once() -> None:
    """Before the process has read what to do: nothing is told on standard error, nothing hangs."""
    code = (
        "import time\nfrom bnnhw.cli.beside import beside\n"
        "if __name__ == '__main__':\n    for _ in range(3):\n        with beside(time.sleep, 600):\n            pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
