"""Text of a float network: one line a node, stable and diffable."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir.graph import Graph


def to_text(graph: Graph) -> str:
    """One line a node: name, operation, inputs, shape, parameters; small arrays in full, larger ones as a summary.

    A summary is element type, shape, range and a checksum, so that a change of any value changes the text.
    """
    shapes = graph.shapes()
    width = max(len(node.name) for node in graph.nodes)
    lines = [f"network {graph.meta.get('name', '?')}: {graph.output}"]
    for node in graph.nodes:
        shape = "x".join(str(size) for size in shapes[node.name])
        parts = [f"{name}={value}" for name, value in node.op.scalars().items() if value is not None]
        parts += [f"{name}={_array(value)}" for name, value in node.op.arrays().items()]
        call = f"{node.op.kind}({', '.join(node.inputs)})"
        lines.append(f"  {node.name:<{width}} = {call} -> {shape} {' '.join(parts)}".rstrip())
    return "\n".join(lines) + "\n"


def _array(array: NDArray[Any]) -> str:
    if array.size <= 4:
        return "[" + " ".join(f"{value:.6g}" for value in array.ravel().tolist()) + "]"
    kind = "int" if array.dtype.kind == "i" else f"f{array.dtype.itemsize * 8}"
    little = array.astype(array.dtype.newbyteorder("<"))
    low, high = (f"{float(value):.6g}" for value in (np.min(array), np.max(array)))
    return f"{kind}[{'x'.join(str(s) for s in array.shape)}]({low}..{high} #{zlib.crc32(little.tobytes()):08x})"
