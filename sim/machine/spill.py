"""Rows of spilled maps between the SDRAM and the rings: what is loaded before a row of a job, and stored behind it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnnhw.sim.machine.state import State
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.front import FrontStore
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.sdram import BURST
from bnnhw.spec.spill import loaded_pass, rows_needed, rows_released, value_beats


class RowMoves:
    """Loads and stores of one job, whose fields are those of ``spec.spill.spill_layout``.

    Rows are loaded as late as they may be, and stored at once. That a ring has room is checked.
    """

    def __init__(self, config: EngineConfig, fields: Mapping[str, int]) -> None:
        assert config.spill is not None
        self.config, self.fields, self.spill = config, fields, config.spill
        self.subs, self.load_subs = fields["last_sub"] + 1, fields["load_last_sub"] + 1
        self.sources = ("load", "second") if fields["second"] else ("load",)
        needs = rows_needed(
            fields["last_y"] + 1, fields["load_last_row"] + 1, fields["need_first"], fields["need_step"]
        )
        released = rows_released(needs, fields["lag"])
        assert min(released) >= 0
        self.needed = np.cumsum(needs)  # rows of a pass, by the row of the job
        self.released = np.cumsum(released)
        if fields["load"]:
            assert self.needed[-1] == self.released[-1] == fields["load_last_row"] + 1
            held = self.needed - np.concatenate([[0], self.released[:-1]])
            assert held.max() <= fields["load_room"], "a ring is too small for what a row reads"
            assert fields["load_room"] * fields["load_words"] <= self.spill.load_words
            assert not fields["second"] or fields["second_last_pass"] <= fields["load_last_pass"]
        if fields["store"]:
            assert 0 < fields["store_room"] * fields["store_words"] <= self.spill.store_words

    def before(self, state: State, number: int, y: int) -> None:
        """Loads what row ``y`` of pass ``number`` reads."""
        f = self.fields
        if not f["load"] or number > f["load_last_pass"]:
            return
        rows = f["load_last_row"] + 1
        width = f["load_last_x"] + 1
        for row in range(self.needed[y - 1] if y else 0, self.needed[y]):
            at = (number * rows + row) * f["load_words"] + np.arange(width) * self.load_subs * len(self.sources)
            for order, name in enumerate(self.sources):
                if number > f[f"{name}_last_pass"]:
                    continue
                base = f[f"{name}_base"] + loaded_pass(number, f[f"{name}_tile"]) * f["load_dpass"]
                for sub in range(self.load_subs):
                    words = state.maps[base + row * f["load_dy"] + sub * f["load_dsub"]]
                    assert words.shape[1] == width, "a row is loaded as another one than it was stored"
                    state.loads[:, (at + order * self.load_subs + sub) % self.spill.load_words] = words

    def after(self, state: State, number: int, y: int) -> None:
        """Stores row ``y`` of pass ``number``."""
        f = self.fields
        if not f["store"]:
            return
        width = f["store_words"] // self.subs
        assert -(-width * value_beats(self.config) // BURST) == f["store_last_burst"] + 1
        for sub in range(self.subs):
            at = (number * (f["last_y"] + 1) + y) * f["store_words"] + np.arange(width) * self.subs + sub
            burst = f["store_base"] + number * f["store_dpass"] + y * f["store_dy"] + sub * f["store_dsub"]
            state.maps[burst] = state.stores[:, at % self.spill.store_words]


def store_front(state: State, store: FrontStore, groups: IntArray) -> None:
    """The front unit's map (N, y, x, group, lanes), the first of the two."""
    for group in range(store.groups):
        for y in range(store.height):
            state.maps[store.base + (group * store.height + y) * store.row] = groups[:, y, :, group]


__all__ = ["RowMoves", "store_front"]
