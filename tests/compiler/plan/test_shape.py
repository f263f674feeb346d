"""Shapes as they are written: each is read as what it was, and what is no shape is refused."""

from __future__ import annotations

import pytest

from bnnhw.compiler.plan import Shape
from bnnhw.errors import BnnhwError


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("2x8x16x4", Shape(2, 8, 16, 4, 1)),
        ("2x8x16x4x2", Shape(2, 8, 16, 4, 2)),
        ("8x16x64x8x1x16", Shape(8, 16, 64, 8, 1, 16)),
        ("8x16x64x8x2x0", Shape(8, 16, 64, 8, 2)),
    ],
)
def test_parse(text: str, shape: Shape) -> None:
    assert Shape.parse(text) == shape


@pytest.mark.parametrize("shape", [Shape(2, 8, 16, 4, 1), Shape(3, 8, 24, 2, 4), Shape(8, 16, 64, 8, 1, 16)])
def test_round_trip(shape: Shape) -> None:
    assert Shape.parse(str(shape)) == shape


def test_front_is_written_where_there_is_one() -> None:
    assert str(Shape(2, 8, 16, 4, 2)) == "2x8x16x4x2"
    assert str(Shape(2, 8, 16, 4, 2, 8)) == "2x8x16x4x2x8"


@pytest.mark.parametrize("text", ["", "8", "2x8x16", "2x8x16x4x2x8x1", "2x8x16xx4", "2x8x16x-4", "2 x8x16x4", "auto"])
def test_no_shape(text: str) -> None:
    with pytest.raises(BnnhwError) as error:
        Shape.parse(text)
    assert str(error.value) == f"shape must be ROWSxCOLSxDEPTHxLANES[xFETCH[xFRONT]], such as 8x16x63x16, not '{text}'"
