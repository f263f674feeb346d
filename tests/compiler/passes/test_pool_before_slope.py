"""Max pooling moves before a two-slope function that rises, and stays behind one that falls or has other readers."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.compiler.frontend import dwr
from bnnhw.compiler.frontend.dwr import Backbone
from bnnhw.compiler.ir import Add, Conv, GlobalAvgPool, Graph, Input, MaxPool, Node, TwoSlope, interpret
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.pool_before_slope import PoolBeforeSlope
from bnnhw.compiler.plan import Shape, plan
from bnnhw.sim import golden, machine
from bnnhw.spec.network import Pool


def graph_of(neg: list[float], forked: bool = False) -> Graph:
    rng = np.random.default_rng(1)
    nodes = [
        Node("image", Input(2, 8, 8, [0.5, 0.5], [0.3, 0.3])),
        Node("conv", Conv(rng.normal(size=(3, 2, 3, 3)), None, 1, 1), ("image",)),
        Node("bend", TwoSlope([1.0, 0.5, 0.0], neg), ("conv",)),
        Node("pool", MaxPool(3, 2, 1), ("bend",)),
        Node("small", MaxPool(1, 2), ("bend",)),
        Node("sum", Add(), ("pool", "small")),
        Node("out", GlobalAvgPool(), ("sum" if forked else "pool",)),
    ]
    kept = nodes if forked else [node for node in nodes if node.name not in ("small", "sum")]
    return Graph(tuple(kept), "out", {"ranges": {"conv": [-4.0, 5.0], "bend": [-1.0, 5.0]}}).verify()


@pytest.mark.parametrize("neg", [[0.25, 0.0, 0.5], [2.0, 1.0, 0.0]])
def test_moved(neg: list[float]) -> None:
    before, images = graph_of(neg), np.random.default_rng(2).integers(0, 256, (4, 8, 8, 2), dtype=np.uint8)
    after = PoolBeforeSlope().apply(before).verify()
    assert [(node.name, node.op.kind, node.inputs) for node in after.nodes[2:4]] == [
        ("pool.max", "MaxPool", ("conv",)),
        ("pool", "TwoSlope", ("pool.max",)),
    ]
    assert "bend" not in {node.name for node in after.nodes}
    assert after.meta["ranges"]["pool.max"] == [-4.0, 5.0]
    np.testing.assert_array_equal(interpret.run(after, images), interpret.run(before, images))


@pytest.mark.parametrize("graph", [graph_of([0.25, -0.1, 0.5]), graph_of([0.25, 0.0, 0.5], forked=True)])
def test_left_alone(graph: Graph) -> None:
    kept = PoolBeforeSlope().apply(graph)
    assert [(node.name, node.inputs) for node in kept.nodes] == [(node.name, node.inputs) for node in graph.nodes]


def test_a_front_unit_computes_a_stem_with_prelu() -> None:
    """A photograph's first max pool is a layer that does nothing more; the slopes and codes behind it are another's. A
    small image's takes them along."""
    arch = Backbone((12, 18), (1, 1), 128, 8, classes=7)
    network = lower(dwr.untrained("x", arch))
    pools = [layer.name for layer in network.layers if isinstance(layer, Pool)]
    assert pools[:2] == ["maxpool.max", "maxpool.copy"]
    images = np.random.default_rng(3).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    made = plan(network, shape=Shape(3, 4, 8, 4, 1, 4))
    assert (machine.run(made, images) == golden.run(network, images)).all()
    later = [Node("image", Input(2, 64, 64, [0.5] * 2, [0.3] * 2))]
    ops = (Conv(np.ones((2, 2, 1, 1))), Conv(np.ones((2, 2, 1, 1))), MaxPool(2, 2), TwoSlope([1, 1], [-1, 1]))
    for op in (*ops, GlobalAvgPool()):
        later.append(Node(f"n{len(later)}", op, (later[-1].name,)))
    kinds = [layer.name for layer in lower(Graph(tuple(later), "n5")).layers]
    assert kinds == ["n1", "n2", "n3", "n5"]  # a pool further on takes its function along
    small = lower(dwr.untrained("x", Backbone((12, 18), (1, 1), 32, 8, classes=7)))
    assert [layer.name for layer in small.layers if isinstance(layer, Pool)][:2] == [
        "maxpool.max",
        "layer2.0.down.pool",
    ]
