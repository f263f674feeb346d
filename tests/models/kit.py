"""What tests of whole networks share: smooth random images, scores as numbers, batch norms that fit their input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnnhw.compiler.ir import BatchNorm, Graph, Input, Node, interpret
from bnnhw.sim import golden
from bnnhw.spec.network import Network
from bnnhw.spec.numbers import Fixed


def pixels(count: int, shape: tuple[int, int, int], seed: int = 5) -> np.ndarray:
    """Smooth random images."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, shape[0] // 4, shape[1] // 4, shape[2]))
    noise = rng.normal(0, 12, (count, *shape))
    return np.clip(coarse.repeat(4, axis=1).repeat(4, axis=2) + noise, 0, 255).astype(np.uint8)


def scores(network: Network, images: np.ndarray) -> np.ndarray:
    form = network.tensors[network.output].format
    assert isinstance(form, Fixed)
    return golden.run(network, images) / 2.0**form.frac


def fitted(graph: Graph, images: np.ndarray) -> Graph:
    """The network whose batch norms have the statistics that these images give."""
    nodes: list[Node] = []
    values: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        inputs = [images.astype(np.float32)] if isinstance(node.op, Input) else [values[name] for name in node.inputs]
        if isinstance(node.op, BatchNorm):
            axes = (0, 1, 2)
            own = replace(node.op, mean=inputs[0].mean(axes), var=inputs[0].var(axes) + 1e-3)
            node = Node(node.name, own, node.inputs)
        values[node.name] = interpret.evaluate(node.op, *inputs)
        nodes.append(node)
    return graph.with_nodes(nodes)
