"""The proofs hold for a correct buffer and refute each planted bug, naming what broke and when."""

import pytest
from amaranth.hdl import Assert

from bnnhw.errors import BnnhwError
from bnnhw.sim.kit.formal import Refuted, prove, prove_order, prove_stream


def test_correct_buffer(buffer):
    prove_stream(buffer())
    prove_order(buffer(), "i", "o", capacity=2, cycles=10)


def test_dropped_valid(buffer):
    with pytest.raises(Refuted, match=r"^o keeps the stream rules: broken in cycle [67]$"):
        prove_stream(buffer("gives up"))


@pytest.mark.parametrize("fault", ["overflows", "swaps"])
def test_changed_payload(buffer, fault):
    with pytest.raises(Refuted, match=r"^o keeps the stream rules: broken in cycle \d$"):
        prove_stream(buffer(fault), "o")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("gives up", r"^o gives (the tokens of i in their order|no token before i took it): broken in cycle \d+$"),
        ("overflows", r"^no more than 2 tokens inside: broken in cycle 3$"),
        ("swaps", r"^o gives the tokens of i in their order: broken in cycle \d$"),
    ],
)
def test_lost_order(buffer, fault, text):
    with pytest.raises(Refuted, match=text):
        prove_order(buffer(fault), "i", "o", capacity=2, cycles=10)


def test_what_is_true_but_not_inductive(buffer):
    with pytest.raises(Refuted, match=r"^o keeps the stream rules: not inductive over this many cycles$"):
        prove_stream(buffer(), cycles=4, induction=2)


def test_induction_beyond_the_cycles_tried(buffer):
    def rules(m, dut):
        m.d.comb += Assert(~(dut.o.valid & dut.o.ready) | dut.o.valid, "a tautology")
        return ()

    prove(buffer(), rules, cycles=2, induction=1)


def test_no_solver(buffer, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(BnnhwError) as caught:
        prove_stream(buffer())
    assert str(caught.value) == (
        "proofs must have the package z3-solver, which is not installed: pip install z3-solver"
    )
