"""Lowering: float network -> integer network, by a pipeline of passes."""

from __future__ import annotations

import time

from bnnhw.compiler.ir.graph import Graph
from bnnhw.compiler.passes import emit, formats, group
from bnnhw.compiler.passes.base import Hook, Pass, run_pipeline
from bnnhw.compiler.passes.estimate_ranges import EstimateRanges
from bnnhw.compiler.passes.expand_two_value import ExpandTwoValue
from bnnhw.compiler.passes.fold_batch_norm import FoldBatchNorm
from bnnhw.compiler.passes.fold_bias import FoldBias
from bnnhw.compiler.passes.fold_input import FoldInput
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.passes.lower_depthwise import LowerDepthwise
from bnnhw.compiler.passes.move_thresholds import MoveThresholds
from bnnhw.compiler.passes.pool_before_binarize import PoolBeforeBinarize
from bnnhw.compiler.passes.quantize_activations import QuantizeActivations
from bnnhw.compiler.passes.quantize_weights import QuantizeWeights
from bnnhw.compiler.passes.remove_dead import RemoveDead
from bnnhw.compiler.passes.share_bits import ShareBits
from bnnhw.compiler.passes.sink_flatten import SinkFlatten
from bnnhw.compiler.passes.split_pools import SplitPools
from bnnhw.errors import BnnhwError
from bnnhw.spec.network import Network

WIDTHS = range(9, 33)
"""Widths that values and factors may have."""
PIPELINE: tuple[Pass, ...] = (
    RemoveDead(),
    LowerDepthwise(),
    SplitPools(),
    EstimateRanges(),
    FoldBatchNorm(),
    FoldBias(),
    SinkFlatten(),
    PoolBeforeBinarize(),
    FoldInput(),
    QuantizeActivations(),
    ExpandTwoValue(),
    QuantizeWeights(),
    MoveThresholds(),
    ShareBits(),
)
PASSES = tuple(step.name for step in PIPELINE)


def lower(graph: Graph, widths: Widths | None = None, verify: bool = True, after: Hook | None = None) -> Network:
    """The integer network of a float network.

    ``widths``: bits of values and factors; unless given those of graph.meta["widths"] {"value": bits, "factor": bits},
    or else 18 and 18. ``verify``: check the graph between passes.
    ``after``: is called after every pass with its name, the graph and its seconds, last as "emit" for the step to
    integers.
    Raises UnsupportedError naming the first node that cannot be lowered.
    """
    widths = Widths(**graph.meta.get("widths", {})) if widths is None else widths
    for name in ("value", "factor"):
        if getattr(widths, name) not in WIDTHS:
            raise BnnhwError(f"{name} width must be in {WIDTHS.start}..{WIDTHS.stop - 1}, not {getattr(widths, name)}")
    graph = run_pipeline(graph.verify(), PIPELINE, verify, after)
    start = time.perf_counter()
    drafts = group.group(graph)
    fracs = formats.choose(drafts, graph.meta["ranges"], widths)
    network = emit.emit(graph, drafts, fracs, widths)
    if after is not None:
        after("emit", graph, time.perf_counter() - start)
    return network
