"""Random networks on random engines agree at every level; planted faults in images, network and timing are found."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from bnnhw.sim import fuzz, golden
from bnnhw.sim.fuzz import case as cases
from bnnhw.sim.fuzz.__main__ import command
from bnnhw.sim.fuzz.network import random_network
from bnnhw.spec.program import load_layout
from bnnhw.spec.timing import load_gaps

SEED = 1
NETWORKS, USUAL = 200, 120
CHUNK = 5


CHUNKS = [*range(0, USUAL, CHUNK), *(pytest.param(n, marks=pytest.mark.long) for n in range(USUAL, NETWORKS, CHUNK))]


@pytest.mark.parametrize("first", CHUNKS)
def test_circuit(first):
    """200 networks through compiler, golden model, machine model and circuit, with predicted cycles; 120 of them every
    time."""
    found = [fuzz.check(SEED, index) for index in range(first, first + CHUNK)]
    assert [str(outcome) for outcome in found if outcome.failure] == []
    assert sum(outcome.exact for outcome in found) >= CHUNK


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_machine(first):
    """Others, without the circuit."""
    found = [fuzz.check(SEED + 1, index, "machine") for index in range(first, first + 50)]
    assert [str(outcome) for outcome in found if outcome.failure] == []
    assert sum(outcome.refused for outcome in found) <= 5


@pytest.fixture(scope="module")
def case():
    """Network, plan, images and golden scores of one case, whose first weights are those of the first layer."""
    for index in range(NETWORKS):
        network = random_network(SEED, index)
        plan, images, failure = cases.prepare(SEED, index, network)
        assert failure is None
        if plan.engine.front is None:
            break
    return network, plan, images, golden.run(network, images)


def flip_weights(plan):
    """The plan with all weight beats of the first job inverted."""
    load, weights = load_layout(plan.engine).unpack(plan.images.loads[0]), list(plan.images.weights)
    count = (load["last_pass"] + 1) * len(load_gaps(plan.engine, load, plan.images.decodes)[0])
    weights[:count] = [beat ^ ((1 << plan.engine.beat_bits) - 1) for beat in weights[:count]]
    return replace(plan, images=replace(plan.images, weights=tuple(weights)))


def test_wrong_weight_is_located_in_the_machine(case):
    network, plan, images, expected = case
    failure = cases.compare_machine(flip_weights(plan), network, images, expected)
    assert failure.startswith("machine differs from golden: layer 0, tensor conv0.")


def test_wrong_weight_is_located_in_the_circuit(case):
    _, plan, images, expected = case
    failure, _ = cases.compare_rtl(flip_weights(plan), images, expected, 0)
    assert failure.startswith("RTL differs from golden in ")
    assert cases.where(flip_weights(plan), images).startswith("first wrong: layer 0, tensor conv0.")


def test_wrong_prediction_is_found(case):
    _, plan, images, expected = case
    frames = tuple(cycles - 1 for cycles in plan.cost.frames)
    wrong = replace(plan, cost=replace(plan.cost, frames=frames))
    failure, _ = cases.compare_rtl(wrong, images, expected, 0)
    assert f", predicted {wrong.cost.first} for the first, {wrong.cost.frame} for others" in failure


def test_what_raises_is_a_failure(monkeypatch):
    monkeypatch.setattr(cases, "prepare", lambda *_: 1 / 0)
    outcome = cases.check(SEED, 3)
    assert outcome.failure.startswith("ZeroDivisionError: division by zero (test_fuzz.py:")
    assert str(outcome).endswith("; reproduce with: python -m bnnhw.sim.fuzz --seed 1 --first 3 --count 1")


def test_command_line():
    done = CliRunner().invoke(command, ["--count", "3", "--seed", "9", "--level", "machine", "--jobs", "1"])
    assert done.exit_code == 0
    assert done.output.startswith("3 networks, 0 mismatches, ")


def test_command_line_with_a_mismatch(monkeypatch):
    monkeypatch.setattr(cases.machine, "run", lambda plan, images: np.zeros(1))
    monkeypatch.setattr(cases.machine, "first_mismatch", lambda *_: "somewhere")
    done = CliRunner().invoke(command, ["--count", "1", "--seed", "9", "--level", "machine", "--jobs", "1"])
    assert done.exit_code == 1
    assert "network 9/0: machine differs from golden: somewhere (on 1x6x12x3x1)" in done.output
