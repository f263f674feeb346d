"""Spilling: maps of values that lie in the SDRAM, the rings that they pass on the chip, what is moved for each job.

A spilled map lies group by group of ``lanes`` channels, rows of a group one after the other; each row begins a new
burst, each value word takes ``value_beats`` words of 16 bits, the lowest first. A job reads its residual (or, pooling,
its source) from a ring that the loader fills ahead of it, and writes its values to another that the storer empties
behind it. Both move rows in the order in which the job goes through them: passes, rows, groups of a pass. On the chip
a job's rows follow each other from address 0 of either ring on, wrapping at its size; word = x * groups + group.

Two residuals of the same size are loaded in turns, a row of the first, then the same row of the second, which share the
ring as if they were one map of twice the groups: those of the second follow those of the first at each x. It ends no
later than the first; in passes without it its words are left out.

A row of a job is issued when it is *permitted*: all rows it reads are loaded, and the ring has room for what it writes.
A job's loads and rows begin when all that earlier jobs stored is in the SDRAM.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.external import WORD
from bnnhw.spec.layout import BitField, WordLayout
from bnnhw.spec.numbers import unsigned_width
from bnnhw.spec.program import Widths
from bnnhw.spec.sdram import BURST, SdramTiming

LEAST_BEATS = 3
"""Words of 16 bits of a value word, at least: the storer's memory needs so long for the next one."""
SETTLED = 64
"""Cycles from the grant of a front map's last burst until it counts as stored: the burst is written, whatever refresh
comes in between, so a frame's start cannot come between its grant and its write. At no clock less than `written`."""


def written(timing: SdramTiming) -> int:
    """Cycles from the grant of a burst until its last word is written, at most: the burst before it opens its row, a
    refresh comes, then it opens its own. The scheduler takes a cycle for each of the three, and one for the grant."""
    t = timing
    before = BURST - 1 + t.wr + t.rp + t.rcd
    refresh = BURST + t.cas + t.turnaround + t.postponed + t.rfc
    return before + refresh + t.rcd + BURST + 4


def value_beats(config: EngineConfig) -> int:
    """Words of 16 bits of a value word."""
    return max(LEAST_BEATS, -(-config.lanes * config.post.value_width // WORD))


def row_bursts(config: EngineConfig, width: int) -> int:
    """Bursts of a row of ``width`` value words."""
    return -(-width * value_beats(config) // BURST)


def rows_needed(rows: int, source_rows: int, first: int, step: int) -> list[int]:
    """Rows of the source that each row of a pass needs beyond those before it: at first ``first``, then ``step``, and
    no more than there are."""
    needs, left = [], source_rows
    for row in range(rows):
        needs.append(min(step if row else first, left))
        left -= needs[-1]
    return needs


def rows_released(needs: list[int], lag: int) -> list[int]:
    """Rows of the source that each row of a pass is the last to read: ``lag`` rows are shared with the next one."""
    return [need - lag * (row == 0) + lag * (row == len(needs) - 1) for row, need in enumerate(needs)]


def spill_layout(c: EngineConfig) -> WordLayout:
    """What is moved for a job that loads or stores rows of spilled maps."""
    assert c.spill is not None
    w, bursts = Widths.of(c), c.spill.burst_bits
    row = unsigned_width(max(row_bursts(c, c.map_size) - 1, 1))
    groups = unsigned_width(max((c.subs, *c.folds)) - 1)
    tile, second = w.passes * c.spill.tiled, int(c.spill.second)
    room = unsigned_width(max(c.spill.load_words, c.spill.store_words))
    f = BitField
    return WordLayout(
        (
            f("last_pass", w.passes, doc="passes - 1"),
            f("last_y", w.position, doc="rows of a pass - 1"),
            f("last_sub", w.groups, doc="channel groups of a pass - 1"),
            f("load", 1, doc="rows are loaded"),
            f("load_front", 1, doc="of the front unit's map, of which there are two"),
            f("load_last_pass", w.passes, doc="passes that load - 1"),
            f("load_tile", tile, doc="passes until its rows are loaded again, 0: they are not"),
            f("load_last_sub", groups, doc="channel groups of a map that are loaded for a pass - 1"),
            f("load_last_row", w.position, doc="rows loaded for a pass - 1"),
            f("load_last_x", w.position, doc="value words of a row of a group - 1"),
            f("load_last_burst", row, doc="bursts of a row of a group - 1"),
            f("load_base", bursts, doc="burst of the first row"),
            f("load_dpass", bursts, doc="bursts from pass to pass"),
            f("load_dy", bursts, doc="bursts from one loaded row to the next"),
            f("load_dsub", bursts, doc="bursts from group to group"),
            f("second", second, doc="a second map's rows are loaded, too; what is not said is as the first's"),
            f("second_last_pass", w.passes * second),
            f("second_tile", tile * second),
            f("second_base", bursts * second),
            f("load_words", room, doc="words of the ring that a row of all groups takes"),
            f("load_room", room, doc="rows that the ring holds"),
            f("need_first", w.position, doc="loaded rows that a pass's first row needs"),
            f("need_step", w.position, doc="and each following one beyond those"),
            f("lag", w.position, doc="loaded rows that a row shares with the next"),
            f("store", 1, doc="rows are stored"),
            f("store_last_burst", row),
            f("store_base", bursts),
            f("store_dpass", bursts),
            f("store_dy", bursts),
            f("store_dsub", bursts),
            f("store_words", room),
            f("store_room", room),
        )
    )


def loaded_pass(number: int, tile: int) -> int:
    """Which pass's rows of a residual that is repeated every ``tile`` passes are loaded for pass ``number``; 0: it is
    not repeated."""
    return number % tile if tile else number


def moved_bursts(fields: Mapping[str, int]) -> tuple[int, int]:
    """Bursts that a job loads and stores; ``fields`` of `spill_layout`."""
    f = fields
    passes = f["load"] * (f["load_last_pass"] + 1) + f["second"] * (f["second_last_pass"] + 1)
    loads = passes * (f["load_last_row"] + 1) * (f["load_last_burst"] + 1)
    stores = f["store"] * (f["last_pass"] + 1) * (f["last_y"] + 1) * (f["store_last_burst"] + 1)
    return loads * (f["load_last_sub"] + 1), stores * (f["last_sub"] + 1)


__all__ = [
    "LEAST_BEATS",
    "SETTLED",
    "loaded_pass",
    "moved_bursts",
    "row_bursts",
    "rows_needed",
    "rows_released",
    "spill_layout",
    "value_beats",
    "written",
]
