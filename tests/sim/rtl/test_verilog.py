"""The Verilog of an engine is the same bytes in every process, and does not depend on its memories' contents."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.errors import BnnhwError
from bnnhw.hw.engine import Engine
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.rtl.verilog import convert

SCRIPT = """
import hashlib
from bnnhw.hw.engine import Engine
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.rtl.verilog import convert
plan, _, _ = prepare(1, 0, random_network(1, 0))
verilog = convert(Engine(plan.engine, plan.images))
print(hashlib.sha256((verilog.text + repr(sorted(verilog.memories.items()))).encode()).hexdigest())
"""


def test_same_bytes_in_every_process():
    digests = set()
    for seed in ("0", "1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_contents_are_beside_the_text():
    plan, _, _ = prepare(1, 0, random_network(1, 0))
    images = replace(plan.images, weights=tuple(beat ^ 1 for beat in plan.images.weights))
    first, second = convert(Engine(plan.engine, plan.images)), convert(Engine(plan.engine, images))
    assert first.text == second.text
    changed = [name for name in first.memories if first.memories[name] != second.memories[name]]
    assert len(changed) == 1
    assert f'$readmemb("{changed[0]}"' in first.text


def test_a_word_read_while_it_is_written_is_noise():
    # the circuit has no logic that would return the old word, so nothing may count on it
    text = convert(ColumnMemory(8, 600, writable=True)).text
    collision = text[text.index("if (i_write_valid && i_address == i_write_address)") :]
    mask, noise = re.findall(r"(\w+) <= 8'h(?:ff|xx);", collision)[:2]
    assert f"assign o = ({mask} & {noise}) |" in text
    assert f"{noise} <= 8'hxx;" in collision


class Shared(wiring.Component):
    """Bits of one packed signal, of which some decide on others: ``apart`` by way of a signal of their own."""

    def __init__(self, apart: bool) -> None:
        self.apart = apart
        super().__init__({"i": In(1), "x": In(4), "y": In(4), "o": Out(data.StructLayout({"flag": 1, "value": 4}))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flag = Signal()
        m.d.comb += [flag.eq(self.i), self.o.flag.eq(flag), self.o.value.eq(self.x)]
        with m.If(flag if self.apart else self.o.flag):
            m.d.comb += self.o.value.eq(self.y)
        return m


def test_block_that_reads_what_others_drive() -> None:
    convert(Shared(True))
    with pytest.raises(BnnhwError, match="^combinational logic must not read a signal of which it drives other bits"):
        convert(Shared(False))
