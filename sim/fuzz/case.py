"""One random network on one random engine: golden model, machine model, circuit and predicted cycles must agree."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.plan import Plan, Shape
from bnnhw.compiler.plan.bands import bandable
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.compiler.plan.front import front_layers
from bnnhw.compiler.plan.groups import misfit
from bnnhw.compiler.plan.levels import spill_levels
from bnnhw.compiler.plan.uses import find_uses
from bnnhw.errors import UnsteadyError, UnsupportedError
from bnnhw.sim import golden, machine
from bnnhw.sim.fuzz.network import features, random_images, random_network
from bnnhw.sim.fuzz.verify import faults
from bnnhw.sim.rtl import Effort, RtlResult, Simulation, Stalls
from bnnhw.sim.rtl.locate import locate
from bnnhw.spec.network import Conv, Network
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.sdram import SdramSetup, SdramTiming, get

IMAGES = 3
CYCLES = 30_000
"""Frames longer than this are put on another engine if one of SHAPES tries is faster."""
SHAPES = 8
SMALL = 150
SPILLED = 0.3
"""Share of the plans with maps of values in an SDRAM, where weights lie then too."""
SDRAM = SdramSetup(get("MT48LC16M16A2-75"), SdramTiming.of(get("MT48LC16M16A2-75"), 100_000_000))
LEVELS = ("machine", "rtl")


@dataclass(frozen=True)
class Outcome:
    """What became of one case. ``failure`` is None or one line; ``exact`` frames had their cycles compared exactly;
    ``refused`` networks were drawn before that the compiler does not support."""

    seed: int
    index: int
    failure: str | None
    features: frozenset[str]
    cycles: int = 0
    exact: int = 0
    refused: int = 0

    def __str__(self) -> str:
        again = f"python -m bnnhw.sim.fuzz --seed {self.seed} --first {self.index} --count 1"
        return f"network {self.seed}/{self.index}: {self.failure or 'agrees'}; reproduce with: {again}"


def check(seed: int, index: int, level: str = "rtl") -> Outcome:
    """Run case ``index`` of ``seed``. Never raises: an exception is a failure too."""
    found: frozenset[str] = frozenset()
    refused = 0

    def accept(network: Network) -> bool:
        nonlocal refused
        try:
            analyse(network)
        except UnsupportedError:
            refused += 1
            return False
        return True

    try:
        network = random_network(seed, index, accept, grouped=index % 4 == 3, gated=index % 4 == 1)
        found = frozenset(features(network))
        plan, images, failure = prepare(seed, index, network)
        exact = 0
        if failure is None:
            expected = golden.run(network, images)
            failure = compare_machine(plan, network, images, expected)
        if failure is None and level == "rtl":
            failure, exact = compare_rtl(plan, images, expected, index)
            failure = failure and f"{failure}; {where(plan, images)}"
        if failure is not None:
            failure += f" (on {plan.shape})"
        return Outcome(seed, index, failure, found, plan.cost.frame, exact, refused)
    except Exception as error:  # the other cases still run
        line = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({line.filename.rsplit('/', 1)[-1]}:{line.lineno})"
        return Outcome(seed, index, text, found)


def prepare(seed: int, index: int, network: Network) -> tuple[Plan, NDArray[np.uint8], str | None]:
    """The case's plan and images, and what is wrong with the network itself."""
    rng = np.random.default_rng([seed, index, 1 << 20])
    fresh = np.random.default_rng([seed, index, 1 << 21])  # so that shapes are those of cases without spilled maps
    analysis = analyse(network)
    plans = []
    for _ in range(SHAPES):
        shape = random_shape(rng, network)
        if _suits_front(network) and rng.random() < 0.5:
            shape = replace(shape, front=max(2, shape.lanes * int(rng.integers(1, 3))))
        spread = None
        if rng.random() < 0.4:
            spread = frozenset(name for name in analysis.uses.convs if name != network.input and rng.random() < 0.5)
        bands = None
        if rng.random() < 0.5:
            bands = {pool: int(rng.integers(1, 5)) for pool in bandable(network, analysis.uses)}
        external, spilled = None, frozenset[str]()
        levels = list(spill_levels(network, analysis.uses, bool(shape.front)))
        if levels and fresh.random() < SPILLED:
            external, spilled = SDRAM, levels[int(fresh.integers(len(levels)))]
        try:
            plans.append(make_plan(analysis, shape, spread, external, bands, spilled))
        except UnsteadyError:
            continue
        if plans[-1].cost.frame <= CYCLES:
            break
    if not plans:
        plans.append(make_plan(analysis, shape))
    image = network.tensors[network.input]
    plan = min(plans, key=lambda p: p.cost.frame)
    count = next(n for n in range(IMAGES, IMAGES + 2) if plan.foreseen(n))
    images = random_images(rng, count, (image.height, image.width, image.channels))
    return plan, images, "; ".join(faults(network)) or None


def _suits_front(network: Network) -> bool:
    """Whether a front unit can compute the convolution of the image."""
    try:
        front_layers(network, find_uses(network))
    except UnsupportedError:
        return False
    return True


def random_shape(rng: np.random.Generator, network: Network) -> Shape:
    """A small array (a large one takes long to compile), nine times in ten of at most SMALL products a cycle."""
    fitting = (shape for shape in iter(lambda: _shape(rng, network), None) if misfit(network, shape) is None)
    shapes = list(islice(fitting, 10))
    if rng.random() < 0.1:
        return shapes[0]
    return min(shapes, key=lambda s: max(s.rows * s.cols * s.depth, SMALL))


def _shape(rng: np.random.Generator, network: Network) -> Shape:
    """An array deep enough for the input; usually wide enough to hold the network's codebooks."""
    lanes = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.1, 0.25, 0.2, 0.25, 0.1, 0.1]))
    channels = network.tensors[network.input].channels
    slots = int(rng.integers(-(-channels // lanes), max(5, -(-channels // lanes) + 1)))
    subs = int(rng.integers(1, 4 if lanes < 4 else 3))
    divisors = [n for n in range(1, lanes * subs + 1) if lanes * subs % n == 0]
    words = max((len(c.codebook.words) for c in network.layers if isinstance(c, Conv) and c.codebook), default=0)
    enough = [n for n in divisors if n * lanes * slots >= words]
    if rng.random() < 0.8 and words:
        while not enough:
            slots, enough = slots + 1, [n for n in divisors if n * lanes * (slots + 1) >= words]
        divisors = enough
    return Shape(int(rng.integers(1, 5)), lanes * subs, lanes * slots, lanes, int(rng.choice(divisors)))


def compare_machine(plan: Plan, network: Network, images: NDArray[np.uint8], expected: IntArray) -> str | None:
    """How the machine model differs from the golden model, located in the network; None if it does not."""
    if (machine.run(plan, images) == expected).all():
        return None
    at = machine.first_mismatch(plan.symbols, golden.trace(network, images), machine.trace(plan, images))
    return f"machine differs from golden: {at or 'in the scores alone'}"


def compare_rtl(plan: Plan, images: NDArray[np.uint8], expected: IntArray, seed: int) -> tuple[str | None, int]:
    """How the circuit differs from golden scores or predicted cycles; and the frames whose cycles were compared."""
    with Simulation.of(plan, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
        failure = _scores("RTL", result.scores, expected) or _cycles(plan, result)
        if failure is None:
            again = simulation.run(images, stalls=Stalls(image=30, scores=50, seed=seed))
            failure = _scores("RTL with stalls at its ports", again.scores, expected)
    return failure, sum(result.cycles[n] == result.periods[n] for n in range(1, len(images)))


def where(plan: Plan, images: NDArray[np.uint8]) -> str:
    """The first tensor of the first wrong image that the circuit gets wrong."""
    for last in range(1, len(images) + 1):
        if found := locate(plan, images[:last]):
            return f"first wrong: {found}"
    return "every stored tensor is right at full speed"


def _scores(who: str, found: IntArray, expected: IntArray) -> str | None:
    wrong = np.argwhere(found != expected)
    if not len(wrong):
        return None
    image, score = wrong[0]
    values = f"{found[image, score]}, not {expected[image, score]}"
    count = f"{len(wrong)} of {expected.size} scores"
    return f"{who} differs from golden in {count}, first in image {image}, score {score}: {values}"


def _cycles(plan: Plan, result: RtlResult) -> str | None:
    """A frame that starts when the last one ends takes ``cost.frame`` cycles; one that had to wait for its image had
    time to prefetch and may be as fast as ``cost.first``, but for the front unit's time."""
    least = plan.cost.first - (plan.engine.front.cycles if plan.engine.front else 0)
    most = plan.cost.frame - plan.cost.causes()["front"]
    if plan.engine.spill is not None:
        return _spilled_cycles(plan, result)
    for n, (cycles, counters) in enumerate(zip(result.cycles, result.counters, strict=True)):
        if cycles != sum(counters[name] for name in list(counters)[1:]):
            return f"counters of frame {n} must add up to {cycles}: {counters}"
        back_to_back = n > 0 and result.periods[n] == cycles
        own = cycles - counters["front"]
        if cycles != plan.cost.frame if back_to_back else not least <= own <= most:
            predicted = f"predicted {plan.cost.first} for the first, {plan.cost.frame} for others"
            return f"frame {n} took {cycles} cycles, {predicted}; {_causes(plan, counters)}"
    return None


def _spilled_cycles(plan: Plan, result: RtlResult) -> str | None:
    """Frames that follow each other from the first on take the cycles predicted for each; what others take depends on
    refreshes."""
    for n, predicted in plan.foreseen(len(result.cycles)).items():
        if result.periods[1 : n + 1] != result.cycles[1 : n + 1]:
            return None
        if result.cycles[n] != predicted:
            took = f"frame {n} took {result.cycles[n]} cycles, predicted {predicted}"
            return f"{took}; {_causes(plan, result.counters[n])}"
    return None


def _causes(plan: Plan, counters: Mapping[str, int]) -> str:
    causes = plan.cost.causes()
    return ", ".join(
        f"{name} {counters[name]} predicted {causes[name]}" for name in causes if counters[name] != causes[name]
    )
