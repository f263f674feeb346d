"""Fixed latencies that the hardware has and the cost model counts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnnhw.spec import multiplier
from bnnhw.spec.engine import EngineConfig

NOTICE = 1
"""Cycles from the prefetcher's news (weights, parameters, outputs stored) until the issue unit knows of it."""

POST_SWITCH = 1
"""Cycles the post-processor needs between the last vector of a pass and the first of the next."""


def popcount_levels(products: int) -> int:
    """Levels of the popcount's adder tree, each with a register: level n counts up to 2**(n + 1) - 1 products."""
    return 1 if products == 1 else max(0, products.bit_length() - 1)


def array_latency(depth: int) -> int:
    """Cycles from the last step of a tile at the array's inputs to its first row of counts at the outputs.

    Entry register, register of a group of blocks, block register, popcount of all products but one, drain register.
    """
    return 4 + popcount_levels(depth - 1)


FETCH = 6
"""Cycles from the issue of a step to its operands at the array."""

POOL_FETCH = 7
"""Cycles from the issue of a step to its value at the pool reader, whose capture comes with a position's last."""

EARLY = 2
"""Cycles by which captures announce their results, and drain requests are sent ahead: their wires may be long. The
pool reader's values follow its capture by as many."""

BORDER = 2
"""Cycles in which a lane's count waits for what its border class adds, and takes it."""

ACTIVATION_WRITE = 3
"""Cycles from a write of the activation memory until it can be read."""


def pool_latency(config: EngineConfig) -> int:
    """Cycles that a value takes longer through the pool reader: channels are summed, weights multiply."""
    return (1 if config.folds else 0) + (multiplier.LATENCY if config.pool_weight_width else 0)


def post_latency(config: EngineConfig) -> int:
    """Cycles from a pass's last vector until all it stores can be read."""
    post = config.post
    result = EARLY + (17 if post.slope_width else 10) + (BORDER if post.border_width else 0)
    result += multiplier.LATENCY + 2 if post.gate_width else 0
    return result + (2 if post.code_shifts else 1) + ACTIVATION_WRITE


def job_cycles(config: EngineConfig) -> int:
    """Cycles from the start of a job until the next one may start, at least: between them lie the end of what the job
    before it stores, for which it waits, and its own first position. A frame's first job alone may be shorter."""
    return POOL_FETCH + pool_latency(config) + post_latency(config)


PARAM_TAIL = 1
"""Cycles from a pass's last parameter beat to its done pulse."""


def param_beats(config: EngineConfig, last_class: int) -> int:
    """Parameter beats of a pass, one a cycle from the cycle after its request on."""
    records = config.lanes * config.subs
    return records + (last_class + 1) * config.subs * config.lanes // config.entries_per_beat


def param_cycles(config: EngineConfig, last_class: int) -> int:
    """Cycles from the request for a pass's parameters to its done pulse, with beats always at hand."""
    return param_beats(config, last_class) + PARAM_TAIL


def load_gaps(config: EngineConfig, fields: Mapping[str, int], decodes: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Of a pass's weight beats: cycles before each one in which the loader writes and takes none; and the cycles from
    the last beat to ``o_done``.

    ``fields`` are those of the pass's load word (``program.load_layout``), ``decodes`` is ``Images.decodes``. A raw
    pass takes a beat a cycle; a codebook pass 9 beats of codebook, then for each column group and word ``tau`` beats if
    the word loads indices, and a cycle for the write.
    """
    groups, words = config.cols // config.fetch, fields["last_word"] + 1
    staged = 1 if config.tau else 0  # the decoder's register
    if not fields.get("codebook", 0):
        return (0,) * (groups * words), 2 + staged
    first = fields["decode"]
    gaps, writes = [0] * 9, 0
    for _ in range(groups):
        for word in decodes[first : first + words]:
            if word & 1:
                gaps += [writes] + [0] * (config.tau - 1)
                writes = 0
            writes += 1
    return tuple(gaps), writes + 4 + staged


def load_cycles(config: EngineConfig, fields: Mapping[str, int], decodes: Sequence[int]) -> int:
    """Cycles from the loader's acceptance of a pass to its ``o_done`` when weight beats never stall."""
    gaps, tail = load_gaps(config, fields, decodes)
    return sum(gaps) + len(gaps) + tail
