"""Checks an integer network against every rule of spec.network; random and lowered networks must pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnnhw.spec.network import Conv, Layer, Network, Post, Residual, Tensor, border_axis
from bnnhw.spec.numbers import Bits, Codes, Fixed


def faults(network: Network) -> list[str]:
    """One line for every broken rule; empty for a valid network."""
    made = {network.input}
    lines: list[str] = []
    for layer in network.layers:
        lines += [f"{layer.name}: {text}" for text in _layer(network, layer, made)]
        publish = layer.post.publish
        made |= {name for name in (publish.value, publish.bits, publish.codes) if name is not None}
    if network.output not in made:
        lines.append(f"output {network.output} must be published by a layer")
    if network.output in network.tensors:
        out = network.tensors[network.output]
        if (out.height, out.width) != (1, 1) or not isinstance(out.format, Fixed):
            lines.append(f"output {out.name} must be a 1x1 fixed-point map, not {out}")
    return lines


def _layer(network: Network, layer: Layer, made: set[str]) -> Iterator[str]:
    if layer.source not in made:
        yield f"source {layer.source} must be published earlier"
        return
    publish = layer.post.publish
    if publish.value is None and publish.bits is None and publish.codes is None:
        yield "must publish something"
        return
    source, out = network.tensors[layer.source], network.out_tensor(layer)
    if isinstance(layer, Conv):
        yield from _conv(network, layer)
    elif not isinstance(source.format, Fixed) or layer.mode not in ("sum", "max"):
        yield f"pools a fixed-point map by sum or max, not {source.format} by {layer.mode}"
    elif layer.fold < 1 or source.channels < layer.fold * out.channels:
        yield f"has {out.channels} channels, its source {source.channels}, of which {layer.fold} are summed"
    elif layer.weight is not None:
        top, shape = (1 << layer.weight_bits) - 1, (out.channels, layer.window.kernel**2)
        if layer.mode != "sum" or layer.weight.shape != shape or np.abs(layer.weight).max() > top:
            yield f"weights must be {shape} and at most {top}, not {layer.weight.shape} by {layer.mode}"
    yield from _forms(network, layer)
    yield from _post(network, layer, made)


def _conv(network: Network, layer: Conv) -> Iterator[str]:
    source, out, w = network.tensors[layer.source], network.out_tensor(layer), layer.weight
    if layer.groups < 1 or source.channels % layer.groups or out.channels % layer.groups:
        yield f"{layer.groups} groups must divide {source.channels} and {out.channels} channels"
    elif w.shape != (out.channels, source.channels // layer.groups, layer.window.kernel, layer.window.kernel):
        yield f"weight has shape {w.shape}"
    if not isinstance(source.format, Bits | Codes):
        yield f"reads bits or codes, not {source.format}"
    if (w % 2 == 0).any() or np.abs(w).max(initial=0) >= 1 << layer.weight_bits:
        yield f"weights must be odd and at most {(1 << layer.weight_bits) - 1}"
    if layer.codebook is not None:
        book = layer.codebook
        if not (book.words[book.index].reshape(w.shape) == w).all() or layer.weight_bits != 1:
            yield "weights differ from the codebook's"


def _forms(network: Network, layer: Layer) -> Iterator[str]:
    publish, out = layer.post.publish, network.out_tensor(layer)
    for name, kind in ((publish.value, Fixed), (publish.bits, Bits), (publish.codes, Codes)):
        if name is None:
            continue
        tensor = network.tensors[name]
        if not isinstance(tensor.format, kind):
            yield f"{name} must be {kind.__name__}, not {tensor.format}"
        if (tensor.channels, tensor.height, tensor.width) != (out.channels, out.height, out.width):
            yield f"{name} must have the shape of {out.name}"
        if (
            isinstance(tensor.format, Fixed)
            and not tensor.format.min <= layer.post.low <= layer.post.high <= tensor.format.max
        ):
            yield f"clamp {layer.post.low}..{layer.post.high} does not fit {tensor.format}"
    if publish.bits is not None and (publish.threshold is None or publish.threshold.shape != (out.channels,)):
        yield "bits need a threshold for each channel"


def _post(network: Network, layer: Layer, made: set[str]) -> Iterator[str]:
    source, out, post = network.tensors[layer.source], network.out_tensor(layer), layer.post
    axes = [border_axis(a, b, layer.window) for a, b in ((source.height, out.height), (source.width, out.width))]
    arrays = {"scale": post.affine.scale}
    if post.affine.sum_scale is not None:
        arrays["sum_scale"] = post.affine.sum_scale
    if post.slope is not None:
        arrays |= {name: getattr(post.slope, name) for name in ("in_offset", "pos", "neg", "out_offset")}
    for name, array in arrays.items():
        if array.shape != (out.channels,) or array.dtype != np.int64:
            yield f"{name} must be int64 of shape ({out.channels},), not {array.dtype} of {array.shape}"
    if post.affine.offset.shape != (out.channels, axes[0].count * axes[1].count):
        yield f"offset has shape {post.affine.offset.shape}, for {axes[0].count} x {axes[1].count} border classes"
    for name in post.values:
        if name not in made or not isinstance(network.tensors[name].format, Fixed):
            yield f"residual or gate {name} must be fixed point, published earlier"
            return
    if post.gate is not None:
        gate = network.tensors[post.gate.tensor]
        if (gate.channels, gate.height, gate.width) != (out.channels, 1, 1):
            yield f"gate must be a pixel of {out.channels} channels, not {gate}"
    for residual in post.residuals:
        yield from _residual(network, residual, out, post)


def _residual(network: Network, residual: Residual, out: Tensor, post: Post) -> Iterator[str]:
    if residual.late and (post.slope is None or post.second is not None):
        yield "a late residual needs a two-slope function, and be the only one"
    other, step = network.tensors[residual.tensor], residual.stride
    if residual.pad < 0 or other.channels + residual.pad > out.channels:
        yield f"residual of {residual.pad} + {other.channels} channels must fit {out.channels}"
    if residual.tiled and (residual.pad or out.channels % other.channels):
        yield f"repeated residual of {other.channels} channels must divide {out.channels}"
    if (out.height - 1) * step >= other.height or (out.width - 1) * step >= other.width:
        yield f"residual of {other.height} x {other.width} is too small at stride {step}"
