"""Plays a component cycle by cycle: for tests of components with fixed timing, which say what each cycle holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bnnhw.sim.kit import Bench, plain

Cycle = dict[str, Any]


def play(
    dut: Any,
    inputs: Iterable[Mapping[str, Any]],
    outputs: Sequence[str],
    answer: Callable[[Cycle], Mapping[str, Any]] | None = None,
) -> list[Cycle]:
    """What ``outputs`` show in each cycle, with these inputs in it (an input keeps its value until it is given again).

    Names with a dot are members of a stream. ``answer`` stands for memories: from the outputs of a cycle it makes more
    inputs of the next.
    """
    seen: list[Cycle] = []

    def port(name: str) -> Any:
        found = dut
        for part in name.split("."):
            found = found[int(part)] if part.isdigit() else getattr(found, part)
        return found

    async def cycles(ctx: Any) -> None:
        more: Mapping[str, Any] = {}
        for given in inputs:
            for name, value in {**more, **given}.items():
                ctx.set(port(name), value)
            seen.append({name: plain(ctx.get(port(name))) for name in outputs})
            more = answer(seen[-1]) if answer is not None else {}
            await ctx.tick()

    bench = Bench(dut, watchdog=1_000_000)
    bench.testbench(cycles)
    bench.run()
    return seen


def pack(values: Any, width: int = 1) -> int:
    """Integers of ``width`` bits (two's complement) side by side, the first lowest."""
    mask = (1 << width) - 1
    return sum((int(v) & mask) << (i * width) for i, v in enumerate(values))


def signed(value: int, width: int) -> int:
    """The lowest ``width`` bits of ``value`` as a two's complement number."""
    value &= (1 << width) - 1
    return value - (value >> (width - 1) << width)
