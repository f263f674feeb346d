"""Engine shapes for tests of single components: small, everything else than the named fields at its smallest."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any

import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw import dsp
from bnnhw.spec.engine import EngineConfig, InputConfig, Popcount, PostConfig
from bnnhw.spec.multiplier import BLOCK


def _smallest(kind: type, **given: Any) -> Any:
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if field.name in given:
            values[field.name] = given[field.name]
        elif field.default is not dataclasses.MISSING:
            values[field.name] = field.default
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
        names = ("sum_scale_width", "border_width", "slope_width", "in_offset_width", "out_offset_width")
        absent = dict.fromkeys(names, 0) | {"shifts": (0,)}
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


class BlockModel(wiring.Component):
    """What Lattice documents of a MULT18X18D with registered operands and product (ECP5 sysDSP usage guide)."""

    def __init__(self) -> None:
        wide, product = signed(BLOCK), signed(2 * BLOCK)
        super().__init__({"a": In(wide), "b": In(wide), "enable_b": In(1), "p": Out(product)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = Signal(signed(BLOCK)), Signal(signed(BLOCK))
        m.d.sync += [a.eq(self.a), self.p.eq(a * b)]
        with m.If(self.enable_b):
            m.d.sync += b.eq(self.b)
        return m


@pytest.fixture
def chip_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[BlockModel]]:
    """chip_blocks(module, ...): components of these modules are simulated with models of the chip's multiplier blocks,
    as on the chip; the list fills with those that are made."""

    def install(*modules: Any) -> list[BlockModel]:
        made: list[BlockModel] = []

        def instance(kind: str, **pins: Any) -> Module:
            assert kind == "MULT18X18D"
            assert all(pins[f"p_REG_{name}_CLK"] == "CLK0" for name in ("INPUTA", "INPUTB", "OUTPUT"))
            assert pins["p_REG_PIPELINE_CLK"] == "NONE"
            assert pins["p_REG_INPUTA_CE"] == pins["p_REG_OUTPUT_CE"] == "CE0"
            model, wrapper = BlockModel(), Module()
            made.append(model)
            wrapper.submodules.model = model
            wrapper.d.comb += [model.a[n].eq(pins[f"i_A{n}"]) for n in range(BLOCK)]
            wrapper.d.comb += [model.b[n].eq(pins[f"i_B{n}"]) for n in range(BLOCK)]
            wrapper.d.comb += [pins[f"o_P{n}"].eq(model.p[n]) for n in range(2 * BLOCK)]
            wrapper.d.comb += model.enable_b.eq(pins["i_" + pins["p_REG_INPUTB_CE"]])
            return wrapper

        monkeypatch.setattr(dsp, "Instance", instance)
        monkeypatch.setattr(dsp, "ClockSignal", lambda: 0)
        for module in modules:
            monkeypatch.setattr(module, "LatticeECP5Platform", type(None))
        return made

    return install
