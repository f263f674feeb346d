"""What a network costs by the papers' measures: products, ACE, Bit-OPs, OPs, bits of weights."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

from bnnhw.compiler.ir import Binarize, BinaryConv, Conv, Flatten, Graph, Levels, MaxPool, Shortcut
from bnnhw.compiler.passes.lower_depthwise import LowerDepthwise

INPUT_BITS = 8
"""Bits of a multi-bit activation."""
REAL_ACE = 256
"""PokeBNN's price of a product of floating-point numbers."""
FEW_BITS = "few_bits"
"""Metadata: {node: bits} of convolutions that read the image as few-bit numbers in the paper, too."""


COUNTED = "counted"
"""Metadata: {node: products} of convolutions that but pass channels on: what the paper counts in their place."""


@dataclass(frozen=True)
class Cost:
    """Of one image.

    macs: multiply-accumulates, binary_macs those of binary weights and activations; ace: macs times weight bits times
    activation bits (PokeBNN); ace_paper: the same with layers that the paper leaves in floating point at REAL_ACE a
    product; ace_engine: the same as the engine runs them, which computes the input of a depthwise convolution once for
    each output (`LowerDepthwise`); bit_ops: SNN's measure of the binary layers, where a codebook's dot products are
    shared; ops: binary_macs / 64 and all others that the paper counts (DWR and others); weight_bits: of all stored
    weights, a sub-bit kernel's index of tau bits and the codebooks; binary_weights: how many are binary.
    """

    macs: int = 0
    binary_macs: int = 0
    ace: int = 0
    ace_paper: int = 0
    ace_engine: int = 0
    bit_ops: int = 0
    ops: float = 0.0
    weight_bits: int = 0
    binary_weights: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def cost(graph: Graph) -> Cost:
    """Cost of a float network."""
    total, shapes, run = Cost(), graph.shapes(), _runs(graph)
    few, counted = graph.meta.get(FEW_BITS, {}), graph.meta.get(COUNTED, {})
    for node in graph.nodes:
        if isinstance(node.op, BinaryConv | Conv):
            _, height, width = shapes[node.name]
            operand = _operand_bits(graph, node.name)
            own = _layer(node.op, height * width, operand, operand is not None or node.name in few)
            if node.name in counted:
                own = replace(own, ops=float(counted[node.name]), ace_paper=counted[node.name] * REAL_ACE)
            total += replace(own, ace_engine=own.ace * run.get(node.name, 1))
    return total


def _runs(graph: Graph) -> dict[str, int]:
    """How often the engine computes each convolution; 1 of those that are not named."""
    lowered = LowerDepthwise().apply(graph)
    before, after = (
        {node.name: len(node.op.weight) for node in one.nodes if isinstance(node.op, Conv)} for one in (graph, lowered)
    )
    return {name: count // before[name] for name, count in after.items()}


def _layer(op: BinaryConv | Conv, pixels: int, operand: int | None, few_bits: bool) -> Cost:
    """``operand``: bits of a few-bit operand, None for a real one; ``few_bits``: it is one in the paper, too."""
    size = op.sign.size if isinstance(op, BinaryConv) else op.weight.size
    width = 1 if isinstance(op, BinaryConv) else op.weight_bits
    macs = size * pixels
    ace = macs * width * (INPUT_BITS if operand is None else operand)
    binary = isinstance(op, BinaryConv) and operand == 1
    bits, bit_ops = size * width, macs
    if isinstance(op, BinaryConv) and op.words is not None and op.index is not None:
        outs, ins = op.index.shape
        count, kernel = op.words.shape
        bits = op.index.size * (count - 1).bit_length() + op.words.size
        bit_ops = min(macs, ins * pixels * (kernel * count + outs // 2))
    return Cost(
        macs=macs,
        binary_macs=macs if binary else 0,
        ace=ace,
        ace_paper=ace if few_bits else macs * REAL_ACE,
        bit_ops=bit_ops if binary else 0,
        ops=macs / 64 if binary else float(macs),
        weight_bits=bits,
        binary_weights=size if isinstance(op, BinaryConv) else 0,
    )


def _operand_bits(graph: Graph, name: str) -> int | None:
    """Bits of the map that a layer reads; None where it is real."""
    source = graph[graph[name].inputs[0]]
    while isinstance(source.op, MaxPool | Flatten | Shortcut):
        source = graph[source.inputs[0]]
    if isinstance(source.op, Levels):
        return source.op.bits
    return 1 if isinstance(source.op, Binarize) else None


__all__ = ["Cost", "cost"]
