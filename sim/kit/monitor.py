"""The stream rules, watched in every cycle: valid stays and the payload is stable until the consumer is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import stream, wiring


class BrokenRule(AssertionError):
    """A producer broke a stream rule; the message names the stream, the rule and the cycle."""


def stream_ports(component: Any) -> Iterator[tuple[str, wiring.Flow, Any]]:
    """Every stream of a component's signature as (name, flow, interface); In is consumed by the component.

    Streams inside nested interfaces and arrays are found too; their names are joined with ``__`` as in Verilog.
    """

    def walk(prefix: str, signature: Any, interface: Any) -> Iterator[tuple[str, wiring.Flow, Any]]:
        for name, member in signature.members.items():
            if not member.is_signature:
                continue
            parts = [(name, getattr(interface, name))]
            for size in member.dimensions:
                parts = [(f"{path}__{i}", part[i]) for path, part in parts for i in range(size)]
            for path, part in parts:
                if isinstance(_unflipped(member.signature), stream.Signature):
                    yield prefix + path, member.flow, part
                else:
                    yield from walk(f"{prefix}{path}__", member.signature, part)  # flipped already where In

    yield from walk("", component.signature, component)


def _unflipped(signature: Any) -> Any:
    return signature.flip() if isinstance(signature, wiring.FlippedSignature) else signature


def watch(name: str, port: Any) -> Callable[[Any], Any]:
    """A simulator process that raises BrokenRule in the cycle in which ``port``'s producer breaks a rule."""
    payload = Value.cast(port.payload)

    async def process(ctx: Any) -> None:
        waiting = False
        before = cycle = 0
        while True:
            _, reset, valid, ready, now = await ctx.tick().sample(port.valid, port.ready, payload)
            if waiting and not reset:
                if not valid:
                    raise BrokenRule(f"{name}: valid fell in cycle {cycle} before the token was taken")
                if now != before:
                    raise BrokenRule(f"{name}: payload changed in cycle {cycle} from {before:#x} to {now:#x} untaken")
            waiting, before = bool(valid and not ready and not reset), now
            cycle += 1

    return process
