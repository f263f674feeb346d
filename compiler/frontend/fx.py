"""PyTorch modules to float networks: traces with torch.fx and converts leaf modules and functions by a table."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from numpy.typing import NDArray
from torch import fx, nn  # noqa: TID253

from bnnhw.compiler.frontend.modules import MODULES, Emit
from bnnhw.compiler.ir import Add, Bias, Flatten, GlobalAvgPool, Graph, Input, Node, Op, Shape, TwoSlope
from bnnhw.errors import BnnhwError, UnsupportedError

ADDS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
FLATTENS: tuple[Any, ...] = (torch.flatten, "flatten")
VIEWS: tuple[Any, ...] = (torch.reshape, "view", "reshape")
MEANS: tuple[Any, ...] = (torch.mean, "mean")
SIZES: tuple[Any, ...] = ("size", getattr, operator.getitem)
RELUS: tuple[Any, ...] = (torch.relu, F.relu, "relu", "relu_")


class _Tracer(fx.Tracer):
    """Keeps whole the modules of the table, and torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def import_module(
    module: nn.Module,
    shape: tuple[int, int, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    name: str,
    classes: Sequence[str] = (),
    weights: str = "untrained",
    paper: str = "",
    weight_bits: int = 8,
) -> Graph:
    """The float network of ``module`` in evaluation mode, for uint8 images of ``shape`` (H, W, C).

    The module gets images normalised as (u / 255 - mean) / std per channel and gives the scores. Nodes are named by
    their paths in the module. ``weight_bits`` is what multi-bit layers are rounded to later.

    Raises UnsupportedError naming the path and type of a layer, or the function and where it is called, that has no
    counterpart; BnnhwError where shapes or parameters do not fit.
    """
    height, width, channels = shape
    if not len(mean) == len(std) == channels:
        raise BnnhwError(f"mean and std must have {channels} values, one per channel, not {len(mean)} and {len(std)}")
    try:
        traced = _Tracer().trace(module)
    except Exception as error:  # whatever the module's own code raises when it meets a traced value
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UnsupportedError(f"{type(module).__name__} must be traceable by torch.fx: {reason}") from None
    builder = _Builder(module, weight_bits)
    image = Input(channels, height, width, np.array(mean, np.float32), np.array(std, np.float32))
    output = builder.convert(traced, image)
    meta = {"name": name, "classes": list(classes), "weights": weights, "paper": paper}
    return Graph(tuple(builder.nodes), output, meta).verify()


class _Builder:
    """Nodes so far; ``names`` maps traced values to nodes, ``flat`` tells which of them are vectors (N, C) in torch."""

    def __init__(self, root: nn.Module, weight_bits: int) -> None:
        self.root, self.weight_bits = root, weight_bits
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.names: dict[fx.Node, str] = {}
        self.flat: set[fx.Node] = set()

    def convert(self, traced: fx.Graph, image: Input) -> str:
        for node in traced.nodes:
            match node.op:
                case "placeholder":
                    if self.nodes:
                        raise UnsupportedError(f"forward must have 1 input, not a second one '{node.target}'")
                    self.names[node] = self.add("input", image)
                case "call_module":
                    self._module(node)
                case "call_function" | "call_method":
                    self._function(node)
                case "output":
                    if not isinstance(node.args[0], fx.Node):
                        raise UnsupportedError("forward must return 1 tensor of scores, not a structure")
                    return self._name(node.args[0], "output")
        raise AssertionError("fx graphs end in an output")

    def add(self, name: str, op: Op, *inputs: str) -> str:
        """Append a node; a name used before (a module called twice) gets a number."""
        unique, again = name, 2
        while unique in self.shapes:
            unique, again = f"{name}@{again}", again + 1
        try:
            self.shapes[unique] = op.shape([self.shapes[i] for i in inputs])
        except BnnhwError as error:
            raise BnnhwError(f"layer '{name}' ({op.kind}): {error}") from None
        self.nodes.append(Node(unique, op, inputs))
        return unique

    def _name(self, value: object, where: str) -> str:
        if isinstance(value, fx.Node) and value in self.names:
            return self.names[value]
        raise UnsupportedError(f"layer '{where}' must read a traced map, not {value}")

    def _module(self, node: fx.Node) -> None:
        path = str(node.target)
        module = self.root.get_submodule(path)
        entry = MODULES.get(type(module))
        if entry is None:
            raise UnsupportedError(
                f"layer '{path}' is of type {type(module).__name__}, which is not supported; supported are "
                + ", ".join(sorted({t.__name__ for t in MODULES}))
            )
        source = node.args[0]
        name = self._name(source, path)
        flat = source in self.flat
        if entry.flat is not None and entry.flat != flat:
            need, got = ("(N, C)", "(N, C, H, W)")[:: 1 if entry.flat else -1]
            raise UnsupportedError(f"layer '{path}' ({type(module).__name__}) must read a tensor {need}, not {got}")
        emit = Emit(path, self.add, name, self.shapes, self.weight_bits)
        entry.convert(module, emit)
        self.names[node] = emit.last
        if entry.flattens or flat:
            self.flat.add(node)

    def _function(self, node: fx.Node) -> None:
        where = _where(node)
        if node.target in SIZES:
            return  # a number, which only a view may use: it gets no node
        if node.target in ADDS and not node.kwargs and len(node.args) == 2:
            self.names[node] = self._add(node, where)
        elif node.target in RELUS:
            source = self._name(node.args[0], where)
            ones = np.ones(self.shapes[source][0], np.float32)
            self.names[node] = self.add(where, TwoSlope(ones, 0 * ones), source)
        elif self._is_flatten(node):
            self._flatten(node, where)
            return
        elif node.target in MEANS and self._is_global_mean(node):
            self.names[node] = self.add(where, GlobalAvgPool(), self._name(node.args[0], where))
            if not node.kwargs.get("keepdim", False):
                self.flat.add(node)
            return
        else:
            raise UnsupportedError(
                f"call of '{_called(node)}' at '{where}' is not supported; supported calls are add, relu, flatten, "
                "view as (N, -1), and mean over (2, 3)"
            )
        if any(source in self.flat for source in node.all_input_nodes):
            self.flat.add(node)

    def _add(self, node: fx.Node, where: str) -> str:
        left, right = node.args
        for value, other in ((left, right), (right, left)):
            if isinstance(value, fx.Node) and value.op == "get_attr":
                source = self._name(other, where)
                return self.add(where, Bias(self._per_channel(str(value.target), self.shapes[source][0])), source)
        return self.add(where, Add(), self._name(left, where), self._name(right, where))

    def _per_channel(self, path: str, channels: int) -> NDArray[np.float32]:
        value = operator.attrgetter(path)(self.root).detach().float()
        if tuple(value.shape) not in ((1, channels, 1, 1), (channels, 1, 1)):
            raise UnsupportedError(
                f"added parameter '{path}' must have shape (1, {channels}, 1, 1), not {tuple(value.shape)}"
            )
        return np.asarray(value.reshape(-1).numpy(), np.float32)

    @staticmethod
    def _is_flatten(node: fx.Node) -> bool:
        """flatten(x, 1), and x.view(x.size(0), -1) and its like."""
        rest = node.args[1:]
        if node.target in FLATTENS:
            return (rest[0] if rest else node.kwargs.get("start_dim", 0)) == 1 and rest[1:] in ((), (-1,))
        if node.target not in VIEWS or not rest:
            return False
        sizes = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
        return len(sizes) == 2 and isinstance(sizes[0], fx.Node) and sizes[1] == -1

    def _flatten(self, node: fx.Node, where: str) -> None:
        source = self._name(node.args[0], where)
        self.names[node] = source if self.shapes[source][1:] == (1, 1) else self.add(where, Flatten(), source)
        self.flat.add(node)

    @staticmethod
    def _is_global_mean(node: fx.Node) -> bool:
        dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        return isinstance(dims, list | tuple) and sorted(dims) in ([2, 3], [-2, -1])


def _where(node: fx.Node) -> str:
    """Path of the module whose forward makes the call, and the name of what is called."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((str(entry[0]) for entry in reversed(stack.values())), "")
    return f"{path}.{_called(node)}" if path else _called(node)


def _called(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
