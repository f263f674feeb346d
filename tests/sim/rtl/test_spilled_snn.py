"""snn_r18 with a smaller image and fewer channels, its maps of values in the SDRAM: every score and every cycle.

The front unit stores the first map, residuals are loaded and stored, pools read bands of rows from the ring.
"""

from __future__ import annotations

import pytest

from bnnhw import boards
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import bandable
from bnnhw.compiler.plan.build import make_plan
from bnnhw.compiler.plan.levels import spill_levels
from tests.sim.rtl import reduced


@pytest.mark.parametrize(("level", "front"), [(0, 4), (-1, 8)], ids=["the largest maps", "all maps"])
def test_reduced_network(level: int, front: int) -> None:
    analysis = reduced.analysis()
    spilled = list(spill_levels(analysis.network, analysis.uses, True))[level]
    found = make_plan(
        analysis,
        Shape(4, 8, 32, 4, 1, front),
        external=boards.get("ulx3s").sdram_setup(100_000_000),
        bands={pool: 2 + n for n, pool in enumerate(bandable(analysis.network, analysis.uses))},
        spilled=spilled,
    )
    assert found.images.front_store is not None
    assert found.cost.causes()["spill"]
    assert bool(found.cost.causes()["front"]) == (front == 4)
    count = len(found.cost.frames) + 3
    result, foreseen = reduced.simulated(found, count), found.foreseen(count)
    assert max(foreseen) >= len(found.cost.frames)
    assert {n: result.cycles[n] for n in foreseen} == foreseen
    assert result.counters[-2] == {"frame": found.cost.frame} | found.cost.causes()
