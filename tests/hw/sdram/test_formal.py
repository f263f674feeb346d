"""Proofs for all inputs: a port's FIFO has room for every word that its granted bursts bring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal

from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.hw.sdram.port import ClientPort
from bnnhw.sim.kit.formal import Refuted, prove
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_75

PART = replace(MT48LC16M16A2_75, row_bits=1, column_bits=4)


def never_full(extra: int) -> Any:
    """The memory brings ``extra`` + 8 words, whenever it likes, for each read it was granted."""

    def rules(m: Module, dut: Any) -> Iterable[Signal]:
        owed, taken, brought = Signal(6), Signal(6), Signal(6)
        granted = dut.o_access.valid & dut.o_access.ready
        m.d.sync += [
            owed.eq(owed + granted * (BURST + extra) - dut.i_word_valid),
            brought.eq(brought + dut.i_word_valid),
            taken.eq(taken + (dut.o.valid & dut.o.ready)),
        ]
        m.d.comb += [
            Assume(~dut.i_word_valid | (owed != 0)),
            Assert(brought - taken <= dut.config.read_words, "no more words than the FIFO holds"),
        ]
        return ()

    return rules


def port() -> ClientPort:
    return ClientPort(part=PART, config=PortConfig("weights", read_words=8))


def test_a_port_has_room_for_what_it_was_granted() -> None:
    prove(port(), never_full(0), cycles=17)


@pytest.mark.long
def test_a_port_has_room_for_the_second_burst_too() -> None:
    prove(port(), never_full(0), cycles=28)


def test_the_proof_can_fail() -> None:
    with pytest.raises(Refuted, match="no more words than the FIFO holds"):
        prove(port(), never_full(1), cycles=17)
