"""The floor plan: parts found in the hierarchy, tiles filled, placed designs of nextpnr read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnnhw.errors import FileFormatError
from bnnhw.report.chip import floorplan, read_placement
from bnnhw.report.floorplan import chip_legend, chip_picture
from bnnhw.report.inputs import Cell


def test_a_dominant_part_is_split() -> None:
    cells = [Cell(0, 0, f"engine.array.pe{n}.q") for n in range(9)]
    cells += [Cell(1, 0, "engine.post.r"), Cell(1, 1, "uart.state"), Cell(2, 1, "plain")]
    plan = floorplan(cells, None)
    assert plan["parts"] == [
        {"name": "engine.array", "cells": 9},
        {"name": "top", "cells": 1},
        {"name": "engine.post", "cells": 1},
        {"name": "uart", "cells": 1},
    ]


def test_tiles_show_their_largest_part_and_how_full_they_are() -> None:
    cells = [Cell(0, 0, "a.x")] * 6 + [Cell(1, 0, "b.x")] * 3 + [Cell(1, 0, "a.x")] * 1 + [Cell(2, 1, "b.x")]
    plan = floorplan(cells, (4, 3))
    assert [part["name"] for part in plan["parts"]] == ["a", "b"]
    assert plan["rows"] == ["24..", "..3.", "...."]


def test_many_parts_share_other() -> None:
    cells = [Cell(n, 0, f"part{n:02}.x") for n in range(20)]
    plan = floorplan(cells, None)
    assert len(plan["parts"]) == 8
    assert plan["parts"][-1] == {"name": "other", "cells": 13}
    assert [row["css"] for row in chip_legend(plan)] == [f"c{n}" for n in range(8)]


def test_picture_has_a_square_a_tile() -> None:
    plan = floorplan([Cell(0, 0, "a.x"), Cell(3, 2, "b.x")], None)
    assert chip_picture(plan).count("h7v7h-7z") == 2


def test_reads_a_placed_design(tmp_path: Path) -> None:
    path = tmp_path / "placed.json"
    cells = {
        "engine.array.pe$12": {"attributes": {"NEXTPNR_BEL": "X12/Y34/SLICEA.LC0"}},
        "$abc$99": {"attributes": {"NEXTPNR_BEL": "X1/Y2/SLICEB.LC1", "hdlname": "host uart lut"}},
        "constant": {"attributes": {}},
    }
    path.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    assert read_placement(path) == (Cell(12, 34, "engine.array.pe$12"), Cell(1, 2, "host.uart.lut"))


@pytest.mark.parametrize("content", ["", "[]", '{"modules": 3}'])
def test_refuses_what_is_not_a_placed_design(tmp_path: Path, content: str) -> None:
    path = tmp_path / "placed.json"
    path.write_text(content)
    with pytest.raises(FileFormatError) as caught:
        read_placement(path)
    assert str(caught.value) == f"placed design {path} must be JSON written by nextpnr, and is not"
