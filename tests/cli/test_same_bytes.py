"""Two builds in different processes, with other hashes of everything, write the same program, images and RTL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BUILD = """
import sys
from pathlib import Path
from fractions import Fraction
from bnnhw.boards.emit import for_board
from bnnhw.cli.build import circuit
from bnnhw.cli.options import ShapeType
from bnnhw.cli.prepare import compile_model
from bnnhw.cli.program import write_program
from bnnhw.cli.progress import Stages

folder = Path(sys.argv[1])
shape = ShapeType().convert("2x8x16x4x2", None, None)
prepared = compile_model("snn_digits", "ulx3s", shape, 1.0, Stages())
number = write_program(prepared, folder)
sources = for_board(circuit(prepared, number, Fraction(100_000_000)), prepared.board, Fraction(100_000_000))
(folder / "top.il").write_text(sources.rtlil)
(folder / "top.lpf").write_text(sources.lpf)
"""


def test_same_bytes(tmp_path: Path) -> None:
    results = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run([sys.executable, "-c", BUILD, folder], check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        results.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert sorted(results[0]) == ["program.json", "top.il", "top.lpf", "weights.bin"]
    assert len(results[0]["top.il"]) > 100_000
    assert [name for name in results[0] if results[0][name] != results[1][name]] == []
