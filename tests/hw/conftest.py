"""Engine shapes for tests of single components: small, everything else than the named fields at its smallest."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any

import pytest

from bnnhw.spec.engine import EngineConfig, InputConfig, Popcount, PostConfig


def _smallest(kind: type, **given: Any) -> Any:
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if field.name in given:
            values[field.name] = given[field.name]
        elif typing.get_args(hint) and field.name == "front":
            values[field.name] = None
        elif dataclasses.is_dataclass(hint):
            values[field.name] = _smallest(typing.cast(type, hint))
        elif hint is Popcount:
            values[field.name] = Popcount.TREE
        else:
            values[field.name] = {int: 1, bool: False}.get(hint, ())
    return kind(**values)


@pytest.fixture(scope="session")
def engine_config() -> Callable[..., EngineConfig]:
    """engine_config(rows=3, ...): an EngineConfig with these fields."""

    def make(**given: Any) -> EngineConfig:
        config: EngineConfig = _smallest(EngineConfig, **{"tau": 0, "sum_width": 0} | given)
        return config

    return make


@pytest.fixture(scope="session")
def post_config() -> Callable[..., PostConfig]:
    """post_config(value_width=12, ...): a PostConfig with these fields."""

    def make(**given: Any) -> PostConfig:
        absent = {"sum_scale_width": 0, "slope_width": 0, "in_offset_width": 0, "out_offset_width": 0, "shifts": (0,)}
        config: PostConfig = _smallest(PostConfig, **absent | given)
        return config

    return make


@pytest.fixture(scope="session")
def input_config() -> Callable[..., InputConfig]:
    """input_config(kernel=3, ...): an InputConfig with these fields."""

    def make(**given: Any) -> InputConfig:
        config: InputConfig = _smallest(InputConfig, **{"pad": 0} | given)
        return config

    return make
