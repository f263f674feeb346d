"""What all operations of the float network are: frozen dataclasses that check their parameters and compute their
output shape.

Maps are (channels, height, width) shapes here and (N, height, width, channels) arrays in the interpreter. Parameters
are float32 arrays, one value per channel, unless said otherwise. A dense layer is a 1x1 convolution of a 1x1 map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError

Shape = tuple[int, int, int]
FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


def require(condition: bool, rule: str, value: object) -> None:
    """Raises BnnhwError "X must be <rule>, not <value>"."""
    if not condition:
        raise BnnhwError(f"{rule}, not {value}")


@dataclass(frozen=True, eq=False)
class Op:
    """Base of all operations. ``channel_fields`` names the arrays of one value per input channel."""

    arity: ClassVar[int] = 1
    channel_fields: ClassVar[tuple[str, ...]] = ()
    int_fields: ClassVar[tuple[str, ...]] = ()
    float_type: ClassVar[type[np.floating[Any]]] = np.float32

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, list | tuple | np.ndarray):
                dtype = np.int32 if f.name in self.int_fields else self.float_type
                object.__setattr__(self, f.name, np.ascontiguousarray(np.asarray(value), dtype=dtype))

    @property
    def kind(self) -> str:
        return type(self).__name__

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Array parameters by field name, in declaration order."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def scalars(self) -> dict[str, Any]:
        """The other parameters by field name, in declaration order."""
        return {f.name: v for f in fields(self) if not isinstance(v := getattr(self, f.name), np.ndarray)}

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Output shape; raises BnnhwError "X must be <rule>, not <value>" for parameters that do not fit."""
        for name, array in self.arrays().items():
            require(bool(np.isfinite(array).all()), f"{name} must be finite", "NaN or infinity")
        channels = inputs[0][0] if inputs else None
        for name in self.channel_fields:
            found = getattr(self, name).shape
            require(found == (channels,), f"{name} must have {channels} values, one per channel", f"shape {found}")
        return self._shape(inputs)

    def _shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]
