"""From an Amaranth component to Verilog whose memory contents lie in files beside it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from bnnhw.boards import tools
from bnnhw.boards.emit import no_collection
from bnnhw.errors import BnnhwError

TOP = "dut"
SCRIPT = "; ".join(
    [
        f"read_rtlil {TOP}.il",
        *tools.COLLISIONS,
        "proc -nomux -norom",
        "memory_collect",
        f"write_verilog -norename -noattr -extmem {TOP}.v",
    ]
)


@dataclass(frozen=True)
class Verilog:
    """A design: the module ``dut``, and the files that its ``$readmemb`` calls read from the working directory.

    Two designs of one shape differ in ``memories`` only, so a simulator compiled from ``text`` serves both.
    """

    text: str
    memories: dict[str, bytes]

    def write_memories(self, folder: Path) -> None:
        """Put the memory files into the folder in which the simulation will run."""
        for name, content in self.memories.items():
            (folder / name).write_bytes(content)


def convert(component: Any, *, name: str = TOP) -> Verilog:
    """Verilog of ``component``, the same bytes every time.

    Names: a port of a stream is ``i_image__valid``; clock and reset are ``clk`` and ``rst``.
    """
    with no_collection():
        text = rtlil.convert(component, name=name, emit_src=False)
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as path:
        folder = Path(path)
        (folder / f"{TOP}.il").write_text(text)
        tools.run("yosys", ["-q", "-p", SCRIPT], folder, "yosys.log")
        verilog = (folder / f"{TOP}.v").read_text()
        memories = {p.name: p.read_bytes() for p in sorted(folder.glob("*.mem"))}
    _check_order(verilog)
    return Verilog(re.sub(r"\A/\*.*?\*/\s*", "", verilog), memories)


NAME = re.compile(r"\\\S+|[A-Za-z_$][\w$]*")
BLOCK = re.compile(r"^  always @\*(?: begin$.*?^  end$|\n.*?;$)", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"(\\\S+|[A-Za-z_$][\w$]*)\s*(?:\[[^\]]*\])?\s*= (.*);$")


def _check_order(verilog: str) -> None:
    """Raises BnnhwError where a combinational block reads a variable of which another one writes other bits.

    A simulator that takes the whole variable for what the block makes may run it before those bits are known.
    """
    for module in verilog.split("\nendmodule\n"):
        seen, mixed = set[str](), set[str]()
        written_again = set[str]()
        for text in BLOCK.findall(module):
            written, read = set[str](), set[str]()
            for line in map(str.strip, text.splitlines()):
                found = ASSIGNMENT.match(line)
                if found:
                    written.add(found[1])
                read |= set(NAME.findall(found[2] if found else line))
            mixed |= written & read
            written_again |= written & seen
            seen |= written
        if mixed & written_again:
            raise BnnhwError(
                f"combinational logic must not read a signal of which it drives other bits, as "
                f"{min(mixed & written_again)}: a simulator may put it in the wrong order"
            )
