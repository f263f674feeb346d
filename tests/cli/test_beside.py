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
from bnnhw.cli.compare import compare
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.progress import Stages
from bnnhw.compiler.plan import Shape
from bnnhw.errors import BnnhwError
from bnnhw.models import data


def test_result() -> None:
    with beside(divmod, 17, 5) as result:
        assert [result(), result()] == [(3, 2)] * 2


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


@pytest.mark.usefixtures("interruptible")
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


def dies_at_once(self: SpawnProcess) -> None:
    """A process that ends before it has read what to do."""
    self._target = os._exit  # type: ignore[attr-defined]
    self._args = (4,)  # type: ignore[attr-defined]
    START(self)
    self.join()


START = SpawnProcess.start


def test_a_process_that_dies_before_it_begins_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpawnProcess, "start", dies_at_once)
    with pytest.raises(BnnhwError, match="sleep must come to an end.*status 4"), beside(time.sleep, 600) as result:
        result()


def told(block: str, *, session: bool = False) -> str:
    """What a command that begins ``time.sleep(600)`` and has ``block`` beside it says on standard error."""
    code = (
        "import os, signal, time\nfrom multiprocessing.context import SpawnProcess\n"
        "from bnnhw.cli.beside import beside\nif __name__ == '__main__':\n" + block
    )
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True, start_new_session=session)
    return done.stderr


def test_left_at_once() -> None:
    """Before the process has read what to do: nothing is told on standard error, nothing hangs."""
    assert told("    for _ in range(3):\n        with beside(time.sleep, 600):\n            pass\n") == ""


def test_interrupted_at_the_terminal() -> None:
    """The interrupt reaches the process, too, while it starts: it says nothing."""
    block = (
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n    start = SpawnProcess.start\n"
        "    SpawnProcess.start = lambda self: (start(self), os.killpg(0, signal.SIGINT), time.sleep(2))\n"
        "    try:\n        with beside(time.sleep, 600):\n            pass\n"
        "    except KeyboardInterrupt:\n        pass\n    else:\n        raise SystemExit('no interrupt came')\n"
    )
    assert told(block, session=True) == ""


def test_comparison() -> None:
    """What `bnnhw build` runs beside synthesis can be sent there, and its result back."""
    prepared = compile_model("snn_digits", "ulx3s", Shape.parse("2x8x16x8"), 1.0, Stages())
    with beside(compare, prepared, data.load("digits", count=2).images, "golden") as result:
        assert result().good
