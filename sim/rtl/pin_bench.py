"""Runs inside the simulator: serial line in Python on the design's pins, for the script of ``pins.play``."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import Event, FallingEdge, First, Timer
from cocotb.utils import get_sim_time

from bnnhw.spec.link import FrameReader, Reply

STEP = 1000
"""Simulator time steps of a clock cycle; only ratios count."""


class Pins:
    """The serial line as the host sees it. Times are in clock cycles.

    ``received``: every byte that came, in order; ``errors``: bytes without a stop bit.
    """

    def __init__(self, dut: Any, divisor: int, clock_hz: int) -> None:
        self.dut, self.divisor, self.clock_hz = dut, divisor, clock_hz
        self.received = bytearray()
        self.errors = 0
        self._taken = 0
        self._news = Event()

    def _bit(self) -> Timer:
        # one for every wait: tasks that wait for the same trigger object all go on when the first of them does
        return Timer(self.divisor * STEP, unit="step")

    async def start(self) -> None:
        """Clock, reset, idle line."""
        self.dut.rx.value = 1
        self.dut.rst.value = 1
        Clock(self.dut.clk, STEP, unit="step").start()
        await Timer(4 * STEP, unit="step")
        self.dut.rst.value = 0
        cocotb.start_soon(self._listen())
        await self.idle(4)

    async def idle(self, cycles: int) -> None:
        """Let time pass."""
        await Timer(cycles * STEP, unit="step")

    async def send(self, data: bytes) -> None:
        """Bytes onto the line, back to back."""
        for byte in data:
            await self.send_bits([0, *((byte >> i) & 1 for i in range(8)), 1])

    async def send_bits(self, bits: list[int]) -> None:
        """Levels of one bit time each: also what is no byte at all."""
        for bit in bits:
            self.dut.rx.value = bit
            await self._bit()
        self.dut.rx.value = 1

    async def receive(self, cycles: int) -> bytes:
        """What has come since the last call; waits for the first byte, but not longer than ``cycles``."""
        if self._taken == len(self.received) and cycles > 0:
            self._news.clear()
            await First(self._news.wait(), Timer(cycles * STEP, unit="step"))
        new = bytes(self.received[self._taken :])
        self._taken = len(self.received)
        return new

    async def replies(self, count: int, cycles: int) -> list[Reply | None]:
        """The next ``count`` replies, None for a corrupt one; fewer when ``cycles`` pass without a byte."""
        reader, found = FrameReader(), list[Reply | None]()
        while len(found) < count and (new := await self.receive(cycles)):
            found += [None if body is None else Reply.unpack(body) for body in reader.feed(new)]
        return found

    async def host(self, program: Callable[[Any], Any]) -> Any:
        """Run ``program(pipe)``, ordinary blocking code, against the line: see ``bnnhw.boards.pipe``."""
        return await bridge(program)(_Pipe(self))

    async def _listen(self) -> None:
        half = Timer(self.divisor * STEP // 2, unit="step")
        while True:
            await FallingEdge(self.dut.tx)
            await half
            byte = 0
            for i in range(8):
                await self._bit()
                byte |= int(self.dut.tx.value) << i
            await self._bit()
            if int(self.dut.tx.value):
                self.received.append(byte)
            else:
                self.errors += 1
            self._news.set()


class _Pipe:
    """``bnnhw.boards.pipe.Pipe`` over the pins, in simulated time."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self._send, self._receive, self._idle = resume(pins.send), resume(pins.receive), resume(pins.idle)

    def now(self) -> float:
        return float(get_sim_time("step")) / STEP / self._pins.clock_hz

    def write(self, data: bytes) -> None:
        self._send(data)

    def read(self, timeout: float) -> bytes:
        return bytes(self._receive(max(1, round(timeout * self._pins.clock_hz))))

    def sleep(self, seconds: float) -> None:
        self._idle(max(1, round(seconds * self._pins.clock_hz)))

    def close(self) -> None:
        pass


def _script(job: dict[str, Any]) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("pin_script", job["file"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    script: Callable[..., Any] = getattr(module, job["function"])
    return script


@cocotb.test()
async def play(dut: Any) -> None:
    """Run the job's script and write down what it returned or raised."""
    folder = Path(os.environ["BNNHW_PIN_JOB"])
    job = json.loads((folder / "job.json").read_text())
    result: dict[str, Any]
    try:
        pins = Pins(dut, job["divisor"], job["clock_hz"])
        await pins.start()
        result = {"value": await _script(job)(pins, job["data"])}
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    partial = folder / "result.part"
    partial.write_text(json.dumps(result))
    os.replace(partial, folder / "result.json")
