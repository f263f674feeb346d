"""snn_r18 with a smaller image and fewer channels, the whole way: front unit, bands, streams and refreshes of SDRAM.

All 18 layers with their shortcuts, on an engine of the kind that the full network gets: slots that share block RAMs,
borders as counts, several images in a row, every stored map and every cycle.
"""

from __future__ import annotations

from bnnhw import boards
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.bands import bandable
from bnnhw.compiler.plan.build import make_plan
from tests.sim.rtl import reduced


def test_reduced_network() -> None:
    analysis = reduced.analysis()
    pools = bandable(analysis.network, analysis.uses)
    found = make_plan(
        analysis,
        Shape(4, 8, 32, 4, 1, 8),
        external=boards.get("ulx3s").sdram_setup(100_000_000),
        bands={pool: 2 + n for n, pool in enumerate(pools)},
    )
    assert len(pools) == 3
    assert found.engine.jobs > len(analysis.network.layers) + 3
    assert found.engine.alike
    assert found.engine.post.border_width
    result = reduced.simulated(found, len(found.cost.frames) + 1)
    assert tuple(result.cycles) == (*found.cost.frames, found.cost.frame)
    assert result.counters[-1] == {"frame": found.cost.frame} | found.cost.causes()
