"""Delay chains: registers that follow each other, a value some cycles later."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from amaranth import Module, Signal, Value, unsigned


def chain(m: Module, stages: Iterable[Any]) -> None:
    """Each stage (a signal or view) takes the one before it, a cycle later; the first is left alone."""
    m.d.sync += [later.eq(earlier) for earlier, later in pairwise(stages)]


def delay(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The bits of the value some cycles later."""
    stages = [Signal(unsigned(len(value)), name=f"{name}_{n}") for n in range(cycles)]
    chain(m, [value, *stages])
    return stages[-1] if stages else value
