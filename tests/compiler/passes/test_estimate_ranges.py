"""Ranges from batch-norm statistics."""

from __future__ import annotations

import numpy as np

from bnnhw.compiler.ir import BatchNorm, Clamp, Conv, GlobalAvgPool, Graph, Input, Node, TwoSlope
from bnnhw.compiler.passes.estimate_ranges import EstimateRanges


def graph_of(*ops) -> Graph:
    nodes = [Node("image", Input(1, 4, 4, [0.5], [0.25]))]
    for i, op in enumerate(ops):
        nodes.append(Node(f"n{i}", op, (nodes[i].name,)))
    return Graph((*nodes, Node("gap", GlobalAvgPool(), (nodes[-1].name,))), "gap")


def ranges(graph: Graph) -> dict[str, list[float]]:
    return EstimateRanges().apply(graph).meta["ranges"]


CONV = Conv(np.full((2, 1, 3, 3), 10.0), None, 1, 1)


def test_batch_norm_gives_beta_and_gamma() -> None:
    found = ranges(graph_of(CONV, BatchNorm([1, -2], [0, 3], [0, 0], [1, 1], 0)))
    assert found["image"] == [-2, 2]
    np.testing.assert_allclose(found["n1"], [-9, 15])


def test_bounds_that_cannot_be_left_hold() -> None:
    found = ranges(graph_of(Conv(np.full((1, 1, 1, 1), 0.5)), BatchNorm([3], [0], [0], [1], 0), Clamp(-2.5, 9)))
    np.testing.assert_allclose(found["n0"], [-1, 1])
    np.testing.assert_allclose(found["n1"], [-3, 3])
    assert found["n2"][0] == -2.5


def test_slopes_of_either_sign_stretch_the_range() -> None:
    norm = BatchNorm([1, 1], [0, 0], [0, 0], [1, 1], 0)
    low, high = ranges(graph_of(CONV, norm, TwoSlope([1, 0.5], [-2, 0])))["n2"]
    assert high >= 11.9
    assert low <= 0


def test_calibration_wins() -> None:
    graph = graph_of(CONV).with_meta(ranges={"n0": [-1.0, 7.0]})
    found = EstimateRanges().apply(graph)
    assert found.meta["ranges"]["n0"] == [-1.0, 7.0]
    np.testing.assert_array_equal(found.meta["channel_ranges"]["n0"], [[-1, -1], [7, 7]])
    graph = graph.with_meta(channel_ranges={"n0": [[-1, 0], [7, 3]]})
    np.testing.assert_array_equal(EstimateRanges().apply(graph).meta["channel_ranges"]["n0"], [[-1, 0], [7, 3]])
