"""The benchmark of agreement: noise disturbs the first layer alone, and a table says how much that matters."""

from __future__ import annotations

import numpy as np

from benchmarks import agreement
from bnnhw import models
from bnnhw.compiler.ir import BinaryConv, Conv


def test_noise_is_on_the_first_layer_alone() -> None:
    graph = models.load("snn_digits")
    changed = agreement.disturbed(graph, 0.1)
    pairs = [(a.op, b.op) for a, b in zip(graph.nodes, changed.nodes, strict=True) if a.op is not b.op]
    ((before, after),) = pairs
    assert isinstance(before, Conv)
    assert isinstance(after, Conv)
    assert before is next(node.op for node in graph.nodes if isinstance(node.op, Conv | BinaryConv))
    error = (after.weight - before.weight).std() / before.weight.std()
    np.testing.assert_allclose(error, 0.1, rtol=0.2)


def test_row() -> None:
    name, exact, integer, agrees, *noisy = agreement.row("snn_digits", "digits", 60)
    assert (name, len(noisy)) == ("snn_digits", len(agreement.NOISE))
    assert all(float(cell.removesuffix("%")) > 90 for cell in (exact, integer, agrees, *noisy))
