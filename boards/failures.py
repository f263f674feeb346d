"""Errors of the place-and-route flow, with the figures that a caller may act on."""

from __future__ import annotations

from bnnhw.errors import BnnhwError, DoesNotFitError

UNITS = {"lut4": "LUT4s", "ff": "flip-flops", "bram": "18-kbit block RAMs", "dsp": "18x18 multipliers"}


class DesignDoesNotFitError(DoesNotFitError):
    """A design needs more of one resource than the board has; ``resource`` is a name of `Resources`."""

    def __init__(self, board: str, resource: str, need: int, limit: int) -> None:
        self.board, self.resource, self.need, self.limit = board, resource, need, limit
        super().__init__(f"design must need at most {limit} {UNITS[resource]} on board {board}, not {need}")


class RoutingError(BnnhwError):
    """A design has room on the device but could not be placed or routed, or not in time."""

    def __init__(self, board: str, reason: str) -> None:
        self.board, self.reason = board, reason
        super().__init__(f"design must be routable on board {board}: {reason}")


class TimingError(BnnhwError):
    """A routed design is slower than its clock."""

    def __init__(self, board: str, achieved_mhz: float, needed_mhz: float) -> None:
        self.board, self.achieved_mhz, self.needed_mhz = board, achieved_mhz, needed_mhz
        super().__init__(f"design must reach {needed_mhz:.2f} MHz on board {board}, not {achieved_mhz:.2f} MHz")
