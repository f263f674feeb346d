"""Proof that the carry chains, as instances of the vendor's cell, count what the behavioural form counts."""

from __future__ import annotations

import pytest
from amaranth.back import rtlil

from bnnhw.boards import board, tools
from bnnhw.hw.array.pe import ProcessingElement
from bnnhw.hw.popcount import ccu2c
from bnnhw.hw.popcount.popcount import Popcount
from bnnhw.spec import engine

# Registers have the same names in both forms, so each stage is proved by itself: seconds even for wide words.
PROOF = """
read_rtlil gold.il
hierarchy -top gold; proc; flatten; opt_clean
design -stash gold
read_rtlil gate.il
read_verilog -D NO_INCLUDES +/ecp5/common_sim.vh +/ecp5/ccu2c_sim.vh
hierarchy -top gate; proc; flatten; opt_clean
design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
equiv_make gold gate proof
hierarchy -top proof
equiv_simple
equiv_induct
equiv_status -assert
"""


def prove(gold, gate, directory):
    """Raises ToolError unless ``gate`` on an ECP5 does what ``gold`` does as simulated."""
    ecp5 = board.get("ulx3s").platform()
    (directory / "gold.il").write_text(rtlil.convert(gold, name="gold", emit_src=False))
    (directory / "gate.il").write_text(rtlil.convert(gate, name="gate", platform=ecp5, emit_src=False))
    (directory / "proof.ys").write_text(PROOF)
    tools.run("yosys", ["-q", "-l", "proof.log", "proof.ys"], directory, "proof.err")


@pytest.mark.parametrize("products", [1, 2, 3, 4, 5, 8, 12, 31, 47, 63, 64])
def test_forms_count_the_same(products, tmp_path):
    gold, gate = (Popcount(products=products, form=form) for form in (engine.Popcount.TREE, engine.Popcount.CARRY))
    prove(gold, gate, tmp_path)
    assert products == 1 or "CCU2C" in (tmp_path / "gate.il").read_text()


@pytest.mark.parametrize(("depth", "acc_width"), [(1, 4), (2, 1), (3, 5), (16, 3), (48, 21), (64, 12)])
def test_elements_accumulate_the_same(depth, acc_width, tmp_path):
    gold, gate = (
        ProcessingElement(depth=depth, acc_width=acc_width, form=form)
        for form in (engine.Popcount.TREE, engine.Popcount.CARRY)
    )
    prove(gold, gate, tmp_path)


def test_model_is_the_vendor_cell(tmp_path):
    """The chain as simulated here, and as instances."""
    gold, gate = (ProcessingElement(depth=9, acc_width=6, form=engine.Popcount.CARRY) for _ in range(2))
    prove(gold, gate, tmp_path)


def test_a_wrong_table_is_found(tmp_path, monkeypatch):
    right = ccu2c.add

    def wrong(a, b, total):
        half = right(a, b, total)
        return half if b is None else ccu2c.Half(half.init ^ 0x8000, a, b, sum=total)

    gold = Popcount(products=7, form=engine.Popcount.TREE)
    monkeypatch.setattr(ccu2c, "add", wrong)
    with pytest.raises(tools.ToolError, match=r"Found \d+ unproven"):
        prove(gold, Popcount(products=7, form=engine.Popcount.CARRY), tmp_path)
