"""Byte pipes to a device: the serial port of a board, and what any other must do."""

from __future__ import annotations

import time
from typing import Protocol

from bnnhw.errors import BnnhwError


class Pipe(Protocol):
    """Bytes both ways, with the clock that timeouts are measured by (simulated time for a simulated device)."""

    def write(self, data: bytes) -> None:
        """Send ``data``."""

    def read(self, timeout: float) -> bytes:
        """Bytes that have come, at least one; waits up to ``timeout`` seconds for it and returns none after that."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass; what comes meanwhile is kept."""

    def close(self) -> None:
        """Free the port."""


class SerialPipe:
    """A serial port by its name, 8N1 at ``baud``.

    Raises BnnhwError when the port cannot be opened, or breaks later.
    """

    def __init__(self, port: str, baud: int) -> None:
        import serial

        self._name = port
        self._error = serial.SerialException
        try:
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=5)
        except (serial.SerialException, ValueError, OSError) as error:
            raise BnnhwError(f"port must be a serial port that can be opened, not {port!r}: {error}") from None

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (self._error, OSError) as error:
            raise BnnhwError(f"port {self._name!r} failed while sending: {error}") from None

    def read(self, timeout: float) -> bytes:
        try:
            self._serial.timeout = timeout
            first = self._serial.read(1)
            return bytes(first + self._serial.read(self._serial.in_waiting)) if first else b""
        except (self._error, OSError) as error:
            raise BnnhwError(f"port {self._name!r} failed while receiving: {error}") from None

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._serial.close()
