"""The runner feeds, collects and measures correctly, and reports a component that breaks the engine's interface."""

import numpy as np
import pytest

from bnnhw.errors import BnnhwError
from bnnhw.sim.rtl import verilator
from bnnhw.sim.rtl.runner import Simulation, SimulationError, Stalls
from bnnhw.sim.rtl.verilator import Effort, compiler
from bnnhw.sim.rtl.verilog import convert

SHAPE = (5, 3, 2)
COUNT = 30


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def weights(rng, scores=4):
    return rng.integers(-128, 128, (scores, COUNT))


def images(rng, frames=6):
    return rng.integers(0, 256, (frames, *SHAPE), dtype=np.uint8)


def run(component, x, scores, stalls=None, wave=None, **options):
    options = {"effort": Effort.COMPILE, "trace": wave is not None} | options
    with Simulation(component, scores, **options) as simulation:
        return simulation.run(x, stalls=stalls, wave=wave)


def expected(w, x):
    return x.reshape(len(x), -1).astype(np.int64) @ w.T


def test_scores_cycles_and_counters(rng, stand_in):
    w, x = weights(rng), images(rng)
    result = run(stand_in(w), x, 4)
    assert (result.scores == expected(w, x)).all()
    assert result.periods[1:] == [COUNT + 4 + 4] * 5
    assert result.cycles[1:] == result.periods[1:]
    assert result.counters[0]["issue"] == COUNT
    assert list(result.counters[0]) == ["frame", "issue", "weights", "params", "post", "layer", "pass_"]


@pytest.mark.parametrize("stalls", [Stalls(image=60, seed=3), Stalls(scores=60, seed=4), Stalls(40, 40, seed=5)])
def test_stalls_change_no_score(rng, stand_in, stalls):
    w, x = weights(rng), images(rng)
    result = run(stand_in(w), x, 4, stalls=stalls)
    assert (result.scores == expected(w, x)).all()
    assert sum(result.periods) > 5 * (COUNT + 8)


def test_other_weights_use_the_same_model(rng, stand_in, monkeypatch):
    x = images(rng)
    first, second = weights(rng), weights(rng)
    assert convert(stand_in(first)).text == convert(stand_in(second)).text
    run(stand_in(first), x, 4)
    monkeypatch.setattr(verilator, "_build", lambda *_: pytest.fail("compiled again"))
    result = run(stand_in(second), x, 4)
    assert (result.scores == expected(second, x)).all()


def test_without_cache_and_with_waves(rng, stand_in, tmp_path):
    w, x = weights(rng), images(rng, 1)
    wave = tmp_path / "wave.vcd"
    result = run(stand_in(w), x, 4, keep=False, wave=wave)
    assert (result.scores == expected(w, x)).all()
    assert "i_image__payload" in wave.read_text()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("stuck", r"^RTL simulation: nothing moved for 500 cycles: 1 of 6 images sent, 0 frames and 3 scores out$"),
        ("long", r"^RTL simulation: frame 0: score 4 of 4 is not marked last$"),
    ],
)
def test_broken_interface(rng, stand_in, fault, text):
    with pytest.raises(SimulationError, match=text):
        run(stand_in(weights(rng), fault=fault), images(rng), 4, limit=500)


def test_a_last_too_early(rng, stand_in):
    with pytest.raises(SimulationError, match=r"^RTL simulation: frame 0: score 4 of 5 is marked last$"):
        run(stand_in(weights(rng)), images(rng), 5)


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BnnhwError) as caught:
        compiler()
    assert str(caught.value) == (
        "RTL simulation must have a C++ compiler (no-such-compiler) on the path, which has none"
    )
