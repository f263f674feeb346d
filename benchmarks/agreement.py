"""How often the integer network decides as the float one does, beside float networks whose first layer is a little off.

    python benchmarks/agreement.py --model M ... --data D [--count 1000]

A network of signs amplifies what is small: where one value crosses its threshold, many behind it do. So two networks
that differ hardly at all decide differently on images that both find hard, right and wrong about alike; and a lowering
is as good as it can be where it agrees as often as a float network does whose first weights differ by NOISE of their
standard deviation.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bnnhw import models
from bnnhw.cli.output import print_markdown
from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.ir import Conv, Graph
from bnnhw.compiler.lower import lower
from bnnhw.models import data as sets
from bnnhw.sim import golden

NOISE = (1e-4, 1e-3, 1e-2)


def disturbed(graph: Graph, noise: float, seed: int = 1) -> Graph:
    """The network with normal noise on the weights of its first convolution, ``noise`` of their standard deviation."""
    rng = np.random.default_rng(seed)
    at = next(i for i, node in enumerate(graph.nodes) if isinstance(node.op, Conv))
    nodes = list(graph.nodes)
    op = nodes[at].op
    assert isinstance(op, Conv)
    error = rng.normal(0, noise * op.weight.std(), op.weight.shape)
    nodes[at] = replace(nodes[at], op=replace(op, weight=(op.weight + error).astype(np.float32)))
    return graph.with_nodes(nodes)


def row(name: str, data: str, count: int | None) -> list[str]:
    """Accuracy of the float and the integer network, and agreement of all others with the float one."""
    graph = models.load(name)
    channels, height, width = graph.shapes()[graph.input.name]
    found = sets.load(data, (height, width, channels), count)

    def right(classes: NDArray[np.intp]) -> str:
        return f"{np.mean(classes == found.labels):.1%}"

    exact = torch_exec.run(graph, found.images).argmax(axis=1)
    integer = golden.run(lower(graph), found.images).argmax(axis=1)
    near = [torch_exec.run(disturbed(graph, noise), found.images).argmax(axis=1) for noise in NOISE]
    return [name, right(exact), right(integer), *(f"{np.mean(other == exact):.1%}" for other in (integer, *near))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", action="extend", required=True, help="shipped names or .bnn files")
    parser.add_argument("--data", required=True, help="as `bnnhw eval --data`")
    parser.add_argument("--count", type=int, help="at most so many images")
    arguments = parser.parse_args()
    columns = ["network", ">float", ">integer", ">agrees", *(f">noise {noise:g}" for noise in NOISE)]
    print_markdown(columns, [row(name, arguments.data, arguments.count) for name in arguments.model])


if __name__ == "__main__":
    main()
