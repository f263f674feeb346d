"""The roofline: the fewest cycles that the compute of a design and its memory allow, whatever the schedule."""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.report.inputs import LayerCost, ReportInputs


@dataclass(frozen=True)
class Roofline:
    """Cycles in which the compute can do all ACE, and in which the memory can move all bytes."""

    compute: float
    memory: float

    @property
    def cycles(self) -> float:
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """Which of the two it is: ``compute`` or ``memory``."""
        return "compute" if self.compute >= self.memory else "memory"


def frame_roofline(inputs: ReportInputs) -> Roofline:
    """Of a frame, as if all the design's compute could take part in every layer."""
    ace = sum(layer.ace for layer in inputs.layers)
    moved = sum(layer.bytes_moved for layer in inputs.layers)
    compute = inputs.array.macs_per_cycle + inputs.front_ace
    return Roofline(ace / compute, moved / inputs.memory.bytes_per_cycle)


def layer_roofline(layer: LayerCost, inputs: ReportInputs) -> Roofline:
    """Of a layer by itself, on the unit that computes it."""
    compute = inputs.front_ace if layer.unit == "front" else inputs.array.macs_per_cycle
    return Roofline(layer.ace / compute, layer.bytes_moved / inputs.memory.bytes_per_cycle)
