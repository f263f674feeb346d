"""The float network: nodes in execution order, one output, metadata; verification and shape inference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bnnhw.compiler.ir.op import Op, Shape
from bnnhw.compiler.ir.ops import Input
from bnnhw.errors import BnnhwError


@dataclass(frozen=True, eq=False)
class Node:
    """One operation. ``name`` is the module path in the source model; ``inputs`` are names of earlier nodes."""

    name: str
    op: Op
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order and the name of the one whose value is the result, a (classes, 1, 1) map of scores.

    ``meta`` (JSON values): name, classes (list of names), weights ("trained on ..." or "untrained"), paper,
    ranges {node: [low, high]} when calibrated.
    """

    nodes: tuple[Node, ...]
    output: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def input(self) -> Node:
        return next(node for node in self.nodes if isinstance(node.op, Input))

    def shapes(self) -> dict[str, Shape]:
        """Shape of every node, (channels, height, width); raises BnnhwError naming the first node that is wrong."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            if node.name in shapes:
                raise BnnhwError(f"node name must be unique, not used twice: '{node.name}'")
            where = f"node '{node.name}' ({node.op.kind})"
            for source in node.inputs:
                if source not in shapes:
                    raise BnnhwError(f"{where}: an input must be an earlier node, not '{source}'")
            if len(node.inputs) != node.op.arity:
                raise BnnhwError(f"{where}: must have {node.op.arity} inputs, not {len(node.inputs)}")
            try:
                shapes[node.name] = node.op.shape([shapes[source] for source in node.inputs])
            except BnnhwError as error:
                raise BnnhwError(f"{where}: {error}") from None
        return shapes

    def verify(self) -> Graph:
        """Checks names, order, shapes, parameters and output; returns the graph itself."""
        shapes = self.shapes()
        count = sum(node.op.arity == 0 for node in self.nodes)
        if count != 1:
            raise BnnhwError(f"a network must have exactly 1 input, not {count}")
        if self.output not in shapes:
            raise BnnhwError(f"the output of a network must be one of its nodes, not '{self.output}'")
        channels, height, width = shapes[self.output]
        if (height, width) != (1, 1):
            raise BnnhwError(f"node '{self.output}': the scores must be a 1x1 map, not {height}x{width}")
        classes = self.meta.get("classes")
        if classes and len(classes) != channels:
            raise BnnhwError(f"meta 'classes' must have {channels} names, one per score, not {len(classes)}")
        return self

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each node, in order; a node that reads another twice is listed twice."""
        readers: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                readers[source].append(node)
        return readers

    def digest(self) -> str:
        """Of operations, parameters and names: what another network of the same name has different."""
        sums = hashlib.sha256()
        for node in self.nodes:
            sums.update(f"{node.name} {node.op.kind} {node.inputs} {node.op.scalars()}".encode())
            for array in node.op.arrays().values():
                sums.update(array.tobytes())
        return sums.hexdigest()[:16]

    def with_nodes(self, nodes: Iterable[Node], output: str | None = None) -> Graph:
        """The same network with other nodes."""
        return replace(self, nodes=tuple(nodes), output=self.output if output is None else output)

    def with_meta(self, **values: Any) -> Graph:
        """The same network with metadata added or replaced."""
        return replace(self, meta={**self.meta, **values})
