"""Where tensors lie: strips, halos, groups, and address steps of the maps in activation and value memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm

from bnnhw.compiler.plan.bands import JobOrder
from bnnhw.compiler.plan.orders import Orders
from bnnhw.compiler.plan.shape import Shape
from bnnhw.compiler.plan.uses import Uses, stored
from bnnhw.spec.network import Conv, Layer, Network, Tensor
from bnnhw.spec.numbers import IntArray


@dataclass(frozen=True, eq=False)
class BitPlace:
    """A bits or codes map in the activation memory (see spec.program). ``order``: see plan.orders."""

    tensor: Tensor
    order: IntArray
    groups: int
    """Groups that hold channels; ``stored_groups`` are written."""
    stored_groups: int
    planes: int
    strip: int
    halo_low: int
    halo_high: int
    spread: bool
    slots: int
    rows: int
    """Rows that are stored at a time."""
    base: int = 0

    @property
    def q(self) -> int:
        """Words of one plane of a cell."""
        return -(-self.stored_groups // self.slots) if self.spread else self.stored_groups

    @property
    def cell(self) -> int:
        """Words from a pixel to its right neighbour."""
        return self.planes * self.q

    @property
    def row(self) -> int:
        """Words from a pixel to the one below."""
        return (self.halo_low + self.strip + self.halo_high) * self.cell

    @property
    def words(self) -> int:
        """Words in each bank."""
        return self.rows * self.row

    def first_word(self, row: int) -> int:
        """Where a band that begins with this row does."""
        return 0 if self.rows < self.tensor.height else row * self.row

    def group_offset(self, group: int) -> int:
        """Word of a channel group inside a plane of a cell."""
        return group // self.slots if self.spread else group


@dataclass(frozen=True, eq=False)
class ValuePlace:
    """A fixed-point map in the value memory, or (``spilled``) from burst ``base`` of the SDRAM on (see spec.spill).
    ``order``: see plan.orders."""

    tensor: Tensor
    order: IntArray
    groups: int
    stored_groups: int
    spilled: bool = False
    base: int = 0

    @property
    def cell(self) -> int:
        """Words from a pixel to its right neighbour."""
        return self.stored_groups

    @property
    def row(self) -> int:
        """Words from a pixel to the one below."""
        return self.tensor.width * self.stored_groups

    @property
    def words(self) -> int:
        """Words of the map."""
        return self.tensor.height * self.row


@dataclass(frozen=True, eq=False)
class Places:
    """All maps that are stored, by tensor name, in the order of their producers; ``halo_reach`` of the engine. Gates
    are maps of one pixel in a memory of their own."""

    bits: dict[str, BitPlace]
    values: dict[str, ValuePlace]
    gates: dict[str, ValuePlace]

    @property
    def halo_reach(self) -> int:
        """Neighbouring banks on either side that need copies of a pixel."""
        return max((-(-max(p.halo_low, p.halo_high) // p.strip) for p in self.bits.values()), default=0)

    def rebase(self, bits: dict[str, int], values: dict[str, int], gates: dict[str, int]) -> Places:
        """The same maps at these addresses."""
        return Places(
            {name: replace(place, base=bits[name]) for name, place in self.bits.items()},
            {name: replace(place, base=values.get(name, 0)) for name, place in self.values.items()},
            {name: replace(place, base=gates[name]) for name, place in self.gates.items()},
        )


def make_places(
    network: Network,
    uses: Uses,
    orders: Orders,
    shape: Shape,
    spread: frozenset[str],
    order: JobOrder,
    fused: frozenset[int] = frozenset(),
    spilled: frozenset[str] = frozenset(),
) -> Places:
    """Geometry of all stored maps, at address 0. ``spread``: the bits maps that are not replicated; ``fused``: layers
    whose maps are not stored; ``spilled``: maps of values that lie in the SDRAM."""
    bits, values, gates = {}, {}, {}
    for index, layer in enumerate(network.layers):
        if index in fused:
            continue
        forms = stored(network, uses, layer)
        whole = isinstance(layer, Conv)
        if forms.bits is not None:
            place = _bit_place(network, uses, orders, shape, forms.bits, whole, forms.bits in spread)
            bits[forms.bits] = replace(place, rows=order.kept_rows(index))
        if forms.value is not None:
            tensor = network.tensors[forms.value]
            groups = -(-len(orders[forms.value]) // shape.lanes)
            added = any(isinstance(network.layers[i], Conv) for i in uses.residuals.get(forms.value, []))
            count = -(-groups // shape.subs) * shape.subs if whole or added else groups
            values[forms.value] = ValuePlace(tensor, orders[forms.value], groups, count, forms.value in spilled)
        if forms.gate is not None:
            groups = -(-len(orders[forms.gate]) // shape.lanes)
            count = -(-groups // shape.subs) * shape.subs
            gates[forms.gate] = ValuePlace(network.tensors[forms.gate], orders[forms.gate], groups, count)
    return Places(bits, values, gates)


def _bit_place(
    network: Network, uses: Uses, orders: Orders, shape: Shape, name: str, whole: bool, spread: bool
) -> BitPlace:
    tensor = network.tensors[name]
    readers = [layer for i in uses.bits(name) if isinstance(layer := network.layers[i], Conv)]
    windows = [layer.window for layer in readers]
    step = lcm(*(w.stride for w in windows))
    needed = max(-(-tensor.width // shape.rows), *(_columns(network, layer, shape) for layer in readers))
    groups = -(-len(orders[name]) // shape.lanes)
    planes = tensor.format.planes  # type: ignore[union-attr]
    return BitPlace(
        tensor=tensor,
        order=orders[name],
        groups=groups,
        stored_groups=-(-groups // shape.subs) * shape.subs if whole else groups,
        planes=planes,
        strip=-(-needed // step) * step,
        halo_low=max(w.pad for w in windows),
        halo_high=max(max(0, w.kernel - w.pad - w.stride) for w in windows),
        spread=spread and shape.slots > 1 and all(_aligned(layer, shape) for layer in readers),
        slots=shape.slots,
        rows=tensor.height,
    )


def _aligned(layer: Conv, shape: Shape) -> bool:
    """Whether the channels of each group begin in slot 0 of a spread map."""
    return layer.groups == 1 or layer.weight.shape[1] % shape.depth == 0


def _columns(network: Network, layer: Layer, shape: Shape) -> int:
    """Input columns that a row must own so that all rows together cover the layer's output."""
    return -(-network.out_tensor(layer).width // shape.rows) * layer.window.stride


def replication_gain(network: Network, uses: Uses, orders: Orders, name: str, shape: Shape) -> int:
    """Steps a tile, over all readers, that replicating the groups of a bits map in all slots saves."""
    groups, saved = -(-len(orders[name]) // shape.lanes), 0
    for index in uses.bits(name):
        layer = network.layers[index]
        taps = layer.window.kernel**2
        assert isinstance(layer, Conv)
        rest = (groups if layer.groups == 1 else layer.weight.shape[1] // shape.lanes) % shape.slots
        saved += taps - -(-taps * rest // shape.slots) if rest else 0
    return saved


__all__ = ["BitPlace", "Places", "ValuePlace", "make_places", "replication_gain"]
