"""The rules that an SDRAM's controller has to keep, as the codes that the checker gives out."""

from __future__ import annotations

from enum import IntEnum


class Rule(IntEnum):
    """Which rule was broken; 0 for none. Of several in one cycle the lowest is named."""

    NONE = 0
    POWER_UP = 1
    """A command before the power-up wait is over, or a byte mask low in it."""
    CKE = 2
    """Clock enable fell, or a command came without it."""
    INIT_PRECHARGE = 3
    """Refresh, mode register or activate before all banks were precharged once."""
    INIT_REFRESH = 4
    """Activate before as many refreshes as the part needs."""
    INIT_MODE = 5
    """Activate before the mode register was set."""
    MODE = 6
    """Contents of the mode register other than bursts of 8, sequential, this clock's CAS latency."""
    COMMAND = 7
    """A command that no controller of ours uses: burst terminate, auto precharge."""
    NOT_IDLE = 8
    """Refresh or mode register with a bank open."""
    ACTIVATE_OPEN = 9
    ACCESS_CLOSED = 10
    """Read or write of a bank without an open row."""
    RCD = 11
    RP = 12
    RAS = 13
    RC = 14
    RFC = 15
    WR = 16
    MRD = 17
    RRD = 18
    REFRESH_LATE = 19
    BURST_CUT = 20
    """A command ended a burst before its last word: words are lost."""
    CONTENTION = 21
    """Controller and chip drive the data pins in the same cycle."""
    TURNAROUND = 22
    """No idle cycle between the chip's last word and the controller's first."""
    NOT_DRIVEN = 23
    """A word of a write without data at the pins."""
    DRIVEN = 24
    """Data at the pins that belong to no write."""
    READ_MASKED = 25
    """A byte mask two cycles before a word of a read."""
