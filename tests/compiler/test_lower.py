"""Lowering: the integer network computes what the float network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.ir import Graph, interpret
from bnnhw.compiler.ir.lowered import Mac
from bnnhw.compiler.lower import PASSES, lower
from bnnhw.sim import golden
from bnnhw.spec.numbers import Fixed
from tests.compiler.float_networks import random_graph


def real(network, scores: np.ndarray) -> np.ndarray:
    form = network.tensors[network.output].format
    assert isinstance(form, Fixed)
    return scores / 2.0**form.frac


def snapped(graph: Graph) -> Graph:
    """255 * float32(1 / 255) is not quite 1: the first layer's factors, freed of that."""
    nodes = []
    for node in graph.nodes:
        if isinstance(node.op, Mac) and node.op.operand == "codes":
            factors = {name: np.rint(getattr(node.op, name) * 4096) / 4096 for name in ("scale", "sum_scale", "offset")}
            node = replace(node, op=replace(node.op, **factors))
        nodes.append(node)
    return graph.with_nodes(nodes)


@pytest.mark.parametrize("seed", range(100))
def test_exact_networks_stay_exact(seed: int) -> None:
    graph, images = random_graph(seed)
    network = lower(calibrate(graph, images))
    expected = interpret.run(graph, images)
    np.testing.assert_allclose(real(network, golden.run(network, images)), expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_values_on_thresholds_are_ones(seed: int) -> None:
    graph, images = random_graph(seed, ties=True)
    graph = calibrate(graph, images)
    last = []
    network = lower(graph, after=lambda name, level, seconds: last.append(level))
    expected = interpret.run(snapped(last[-1]), images)
    np.testing.assert_allclose(real(network, golden.run(network, images)), expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(40))
def test_every_level_computes_the_same(seed: int) -> None:
    graph, images = random_graph(seed)
    levels = {}
    lower(graph, after=lambda name, level, seconds: levels.__setitem__(name, level))
    assert list(levels) == [*PASSES, "emit"]
    expected = interpret.run(graph, images)
    for name, level in levels.items():
        np.testing.assert_allclose(interpret.run(level, images), expected, atol=1e-3, err_msg=name)
