"""A layer of the integer network while its parameters are still real numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.ir import Shape
from bnnhw.compiler.ir.lowered import Depthwise, Mac, Quantize
from bnnhw.spec.network import Residual, Window

DoubleArray = NDArray[np.float64]
INFINITY = float("inf")


@dataclass(eq=False)
class Draft:
    """One layer under construction: nodes of a chain are absorbed until something does not fit in what is left.

    Computes clamp(slope(scale * X + sum_scale * A + offset[border] + residual)), or with a late residual
    clamp(slope(...) + residual), or with a gate clamp(gate * slope(...) + gate_offset); slope is a two-slope function
    followed by ``out``, or absent. ``tail`` is the node whose value the layer computes so far.
    """

    name: str
    source: str
    window: Window
    shape_in: Shape
    shape_out: Shape
    tail: str
    scale: DoubleArray
    offset: DoubleArray
    mac: Mac | None = None
    mode: str = "sum"
    sum_scale: DoubleArray | None = None
    residual: Residual | None = None
    second: Residual | None = None
    pos: DoubleArray | None = None
    neg: DoubleArray | None = None
    out: DoubleArray = field(default_factory=lambda: np.zeros(0))
    linear: bool = False
    """The slope is one straight line so far, through 0."""
    gate: str | None = None
    fold: int = 1
    depthwise: Depthwise | None = None
    low: float = -INFINITY
    high: float = INFINITY
    clamped: bool = False
    whole: bool = False
    """y has no fraction bits."""
    value: bool = False
    bits: tuple[str, DoubleArray] | None = None
    codes: tuple[str, Quantize] | None = None

    def __post_init__(self) -> None:
        self.out, self.gate_offset = np.zeros(len(self.scale)), np.zeros(len(self.scale))

    @property
    def late(self) -> bool:
        """Whether the residual is added behind the slope."""
        return self.residual is not None and self.residual.late

    @property
    def reads(self) -> list[str]:
        """Tensors that the layer reads."""
        added = [one.tensor for one in (self.residual, self.second) if one is not None]
        return [self.source, *added, *([] if self.gate is None else [self.gate])]

    def affine(self, scale: DoubleArray, offset: DoubleArray) -> bool:
        """Absorbs scale * x + offset; False if it does not fit."""
        if self.clamped or (self.late and (scale != 1).any()):
            return False
        if self.pos is None or self.neg is None:
            if self.residual is None:
                self.scale = self.scale * scale
                self.sum_scale = None if self.sum_scale is None else self.sum_scale * scale
                self.offset = self.offset * scale[:, None] + offset[:, None]
                return True
            if (scale == 1).all():
                self.offset = self.offset + offset[:, None]
                return True
            self.pos, self.neg, self.linear = scale, scale, True
        else:
            self.pos, self.neg = self.pos * scale, self.neg * scale
        if self.gate is None:
            self.out = self.out * scale + offset
        else:
            self.out, self.gate_offset = self.out * scale, self.gate_offset * scale + offset
        return True

    def two_slope(self, pos: DoubleArray, neg: DoubleArray) -> bool:
        """Absorbs x >= 0 ? pos * x : neg * x; behind a straight line s * v + o it bends at v = -o / s."""
        if self.clamped or self.late or self.gate is not None or (self.pos is not None and not self.linear):
            return False
        if self.pos is not None:
            slope, out = self.pos, self.out
            moved = np.where(slope == 0, 0.0, out / np.where(slope == 0, 1.0, slope))
            self.offset = self.offset + moved[:, None]
            self.out = np.where(slope == 0, np.where(out >= 0, pos, neg) * out, 0.0)
            pos, neg = np.where(slope >= 0, pos, neg) * slope, np.where(slope >= 0, neg, pos) * slope
        self.pos, self.neg, self.linear = pos, neg, False
        return True

    def clamp(self, low: float, high: float) -> bool:
        """Absorbs min(max(x, low), high)."""
        self.low, self.high = float(np.clip(self.low, low, high)), float(np.clip(self.high, low, high))
        self.clamped = True
        return True

    def add(self, residual: Residual) -> bool:
        """Absorbs the addition of a value tensor, in front of the slope or behind it; a convolution two in front."""
        if self.clamped or self.gate is not None:
            return False
        if self.residual is None:
            self.residual = replace(residual, late=self.pos is not None)
            return True
        if self.second is not None or self.pos is not None or self.mac is None:
            return False
        self.second = residual
        return True

    def scale_by(self, gate: str) -> bool:
        """Absorbs the product with a value tensor of one pixel."""
        if self.clamped or self.late or self.gate is not None:
            return False
        if self.pos is None:
            self.pos, self.neg, self.linear = np.ones(len(self.scale)), np.ones(len(self.scale)), True
        self.gate = gate
        return True

    def round(self) -> bool:
        """Absorbs rounding to whole numbers, behind which nothing else can be absorbed."""
        if self.residual is not None:
            return False
        self.whole = self.clamped = True
        return True
