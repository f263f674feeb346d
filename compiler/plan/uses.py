"""Who makes and who reads each tensor; refuses networks that the engine cannot run, naming the layer."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnnhw.errors import UnsupportedError
from bnnhw.spec.network import BorderAxis, Conv, Gate, Layer, Network, Pool, Residual, border_axis
from bnnhw.spec.numbers import Bits, Codes, Fixed

INPUT_BITS = 8


@dataclass
class Uses:
    """Layer indices per tensor: its producer and its readers of each kind (in execution order)."""

    producer: dict[str, int] = field(default_factory=dict)
    convs: dict[str, list[int]] = field(default_factory=dict)
    pools: dict[str, list[int]] = field(default_factory=dict)
    residuals: dict[str, list[int]] = field(default_factory=dict)
    gates: dict[str, list[int]] = field(default_factory=dict)

    def values(self, name: str | None) -> list[int]:
        """Layers that read the tensor from the value memory."""
        return [] if name is None else sorted(self.pools.get(name, []) + self.residuals.get(name, []))

    def bits(self, name: str | None) -> list[int]:
        """Layers that read the tensor from the activation memory."""
        return [] if name is None else self.convs.get(name, [])


@dataclass(frozen=True)
class Stored:
    """The forms of a layer's y that somebody reads: names of a value tensor, of one that is a gate, and of a bits or
    codes tensor, or None."""

    value: str | None
    gate: str | None
    bits: str | None
    codes: bool
    score: bool


def find_uses(network: Network) -> Uses:
    """Producers and readers of all tensors. Raises UnsupportedError for what the engine cannot run."""
    uses = Uses()
    for index, layer in enumerate(network.layers):
        _check_layer(network, layer, uses)
        readers = uses.convs if isinstance(layer, Conv) else uses.pools
        readers.setdefault(layer.source, []).append(index)
        for residual in layer.post.residuals:
            uses.residuals.setdefault(residual.tensor, []).append(index)
        if layer.post.gate is not None:
            uses.gates.setdefault(layer.post.gate.tensor, []).append(index)
        publish = layer.post.publish
        for name in (publish.value, publish.bits, publish.codes):
            if name is not None:
                uses.producer[name] = index
    _check_input(network, uses)
    _check_output(network)
    for layer in network.layers:
        stored(network, uses, layer)
    return uses


def stored(network: Network, uses: Uses, layer: Layer) -> Stored:
    """The forms of a layer's output that are read by a later layer, or are the scores."""
    publish = layer.post.publish
    bits = publish.bits if uses.bits(publish.bits) else None
    codes = publish.codes if uses.bits(publish.codes) else None
    if bits and codes:
        raise UnsupportedError(f"layer {layer.name} must publish bits or codes, not both of {bits} and {codes}")
    value = publish.value if uses.values(publish.value) else None
    gate = publish.value if publish.value in uses.gates else None
    if value and gate:
        raise UnsupportedError(f"{value} of layer {layer.name} must be a gate or a map of values, not both")
    return Stored(value, gate, bits or codes, codes is not None, publish.value == network.output)


def borders(network: Network, layer: Layer) -> tuple[BorderAxis, BorderAxis]:
    """Border classes of a layer along y and x."""
    source, out = network.tensors[layer.source], network.out_tensor(layer)
    return (
        border_axis(source.height, out.height, layer.window),
        border_axis(source.width, out.width, layer.window),
    )


def _check_layer(network: Network, layer: Layer, uses: Uses) -> None:
    source = network.tensors[layer.source]
    if layer.source != network.input and layer.source not in uses.producer:
        raise UnsupportedError(f"layer {layer.name} must read what an earlier layer publishes, not {source.name}")
    if isinstance(layer, Conv) and isinstance(source.format, Fixed):
        raise UnsupportedError(f"layer {layer.name} must read bits or codes, not fixed-point {source.name}")
    if isinstance(layer, Pool) and not isinstance(source.format, Fixed):
        raise UnsupportedError(f"pooling layer {layer.name} must read a fixed-point tensor, not {source.name}")
    if isinstance(layer, Conv) and layer.weight_bits > 1 and layer.post.affine.sum_scale is not None:
        raise UnsupportedError(
            f"layer {layer.name} with activation sum must have 1-bit weights, not {layer.weight_bits}"
        )
    axes = borders(network, layer)
    classes = axes[0].count * axes[1].count
    if layer.post.affine.offset.shape[1] != classes:
        raise UnsupportedError(
            f"offset of layer {layer.name} must have {classes} border classes, not {layer.post.affine.offset.shape[1]}"
        )
    for residual in layer.post.residuals:
        _check_residual(network, layer, residual, uses)
    second, publish = layer.post.second, layer.post.publish
    if second is not None and (second.late or layer.post.residual is None or uses.bits(publish.codes)):
        raise UnsupportedError(f"layer {layer.name} with a second residual must add both early, and publish no codes")
    if layer.post.gate is not None:
        _check_gate(network, layer, layer.post.gate, uses)
    if isinstance(layer, Pool) and layer.fold * network.out_tensor(layer).channels > source.channels:
        raise UnsupportedError(
            f"pooling layer {layer.name} must make at most {source.channels // layer.fold} channels, not "
            f"{network.out_tensor(layer).channels}"
        )


def _check_residual(network: Network, layer: Layer, residual: Residual, uses: Uses) -> None:
    out = network.out_tensor(layer)
    if isinstance(layer, Pool):  # both would read the value memory in the same cycle
        raise UnsupportedError(f"pooling layer {layer.name} must have no residual, not {residual.tensor}")
    if residual.tensor not in uses.producer or not isinstance(network.tensors[residual.tensor].format, Fixed):
        raise UnsupportedError(f"residual of layer {layer.name} must be a fixed-point tensor, not {residual.tensor}")
    other = network.tensors[residual.tensor]
    if (out.height - 1) * residual.stride >= other.height or (out.width - 1) * residual.stride >= other.width:
        raise UnsupportedError(
            f"residual {other.name} of layer {layer.name} must cover {out.height} x {out.width} pixels at stride "
            f"{residual.stride}, not be {other.height} x {other.width}"
        )
    if residual.pad < 0 or residual.pad + other.channels > out.channels:
        raise UnsupportedError(
            f"residual {other.name} of layer {layer.name} must lie in {out.channels} channels, not in "
            f"{residual.pad}..{residual.pad + other.channels - 1}"
        )
    if residual.tiled and (residual.pad or out.channels % other.channels):
        raise UnsupportedError(
            f"tiled residual {other.name} of layer {layer.name} must divide {out.channels} channels, not have "
            f"{other.channels} behind {residual.pad}"
        )


def _check_gate(network: Network, layer: Layer, gate: Gate, uses: Uses) -> None:
    found, out = network.tensors.get(gate.tensor), network.out_tensor(layer)
    if gate.tensor not in uses.producer or found is None or not isinstance(found.format, Fixed):
        raise UnsupportedError(f"gate of layer {layer.name} must be a fixed-point tensor, not {gate.tensor}")
    if (found.channels, found.height, found.width) != (out.channels, 1, 1):
        raise UnsupportedError(
            f"gate {found.name} of layer {layer.name} must be one pixel of {out.channels} channels, not "
            f"{found.height} x {found.width} of {found.channels}"
        )


def _check_input(network: Network, uses: Uses) -> None:
    form = network.tensors[network.input].format
    if not isinstance(form, Codes) or form.bits != INPUT_BITS:
        raise UnsupportedError(f"network input {network.input} must be {INPUT_BITS}-bit codes, not {form}")
    readers = [network.layers[i] for i in uses.bits(network.input)]
    if not readers:
        raise UnsupportedError(f"network input {network.input} must be read by a convolution, not by none")
    for layer in readers[1:]:
        same = layer.window == readers[0].window
        out, first = network.out_tensor(layer), network.out_tensor(readers[0])
        if not same or (out.height, out.width) != (first.height, first.width):
            raise UnsupportedError(f"layer {layer.name} must read the input like layer {readers[0].name}: same window")


def _check_output(network: Network) -> None:
    last, out = network.layers[-1], network.tensors[network.output]
    if last.post.publish.value != network.output:
        raise UnsupportedError(f"the last layer must publish the scores {network.output}, not layer {last.name}")
    if (out.height, out.width) != (1, 1):
        raise UnsupportedError(f"scores {out.name} must be a 1 x 1 map, not {out.height} x {out.width}")


__all__ = ["Bits", "Stored", "Uses", "borders", "find_uses", "stored"]
