"""The whole design at its serial pins: cocotb in a Verilated model plays a host against the circuit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cocotb_tools.config
from cocotb_tools.runner import get_runner

from bnnhw.errors import BnnhwError
from bnnhw.sim.rtl.verilator import Effort, Options, compiled
from bnnhw.sim.rtl.verilog import TOP, convert

HARNESS = "lib/verilator/verilator.cpp"
"""cocotb's main loop, below its share folder."""
JOB = "BNNHW_PIN_JOB"
"""Environment variable with the folder in which the job of the simulated process lies."""


def play(
    top: Any,
    script: Callable[..., Any],
    data: Any = None,
    *,
    effort: Effort = Effort.RUN,
    keep: bool = True,
    limit: float = 600,
) -> Any:
    """Run ``script(pins, data)`` against the serial pins of ``top`` (a ``hw.top.Top``); returns what it returns.

    ``script`` is an async function at the top level of a file; it is called in the simulator's process with
    ``pin_bench.Pins``. ``data`` and the result are what JSON can hold. What the script raises is raised here as
    BnnhwError with the script's message; so is a simulation that takes more than ``limit`` seconds.
    """
    verilog = convert(top)
    share = Path(cocotb_tools.config.share_dir)
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as path:
        folder = Path(path)
        verilog.write_memories(folder)
        options = Options(effort, pins=("clk", "rst", "rx", "tx"))
        model = compiled(verilog.text, (share / HARNESS).read_text(), options, keep=keep, into=folder)
        (folder / TOP).symlink_to(model)
        job = {"file": script.__code__.co_filename, "function": script.__name__, "divisor": top.divisor, "data": data}
        job["clock_hz"] = top.identity.clock_hz
        (folder / "job.json").write_text(json.dumps(job))
        _simulate(folder, limit)
        result = json.loads((folder / "result.json").read_text())
    if "error" in result:
        raise BnnhwError(f"simulation at the pins: {result['error']}")
    return result["value"]


def _simulate(folder: Path, limit: float) -> None:
    """Run cocotb in a process of its own: its runner changes the environment."""
    code = f"from bnnhw.sim.rtl.pins import run_cocotb; run_cocotb({str(folder)!r})"
    with open(folder / "cocotb.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {JOB: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            raise BnnhwError(f"simulation at the pins must end within {limit:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the simulator is its child
            process.wait()
    if not (folder / "result.json").exists():
        lines = (folder / "cocotb.log").read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        raise BnnhwError(f"simulation at the pins ended early: {last}")


def run_cocotb(folder: str) -> None:
    """Run the model in ``folder`` with the bench of this package."""
    get_runner("verilator").test(
        test_module="bnnhw.sim.rtl.pin_bench",
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        build_dir=folder,
        test_dir=folder,
    )
