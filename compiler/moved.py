"""What a planned network moves between the engine and the SDRAM in a frame, by layer."""

from __future__ import annotations

from bnnhw.compiler.plan import Plan
from bnnhw.spec.external import BURST_BYTES
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.spill import moved_bursts, spill_layout


def value_bytes(plan: Plan) -> dict[int, int]:
    """Bytes of spilled maps that are loaded and stored for each layer, by its number; whole bursts are moved."""
    engine, store = plan.engine, plan.images.front_store
    if engine.spill is None:
        return {}
    found: dict[int, int] = {}
    moves = map(spill_layout(engine).unpack, plan.images.spills)
    for index, word in zip(plan.layer_of_job, plan.images.jobs, strict=True):
        if job_layout(engine).unpack(word)["spill"]:
            found[index] = found.get(index, 0) + sum(moved_bursts(next(moves))) * BURST_BYTES
    if store is not None:
        index = next(symbol.layer for symbol in plan.symbols if symbol.job < 0)
        found[index] = store.groups * store.height * store.row * BURST_BYTES
    return found


__all__ = ["value_bytes"]
