"""snn_r18 with a smaller image and fewer channels, and what its circuit says about crops of a photograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.datasets import load_sample_image

from bnnhw.compiler.frontend import snn
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Plan
from bnnhw.compiler.plan.build import Analysis, analyse
from bnnhw.sim import golden, machine
from bnnhw.sim.machine.model import first_mismatch
from bnnhw.sim.rtl import Effort, RtlResult, Simulation

SIZE = 64


def analysis() -> Analysis:
    arch = replace(snn.ARCHS["snn_r18"], widths=(32, 64, 64, 128), size=SIZE, classes=100)
    return analyse(lower(snn.untrained("snn_r18 reduced", arch), Widths(value=9, factor=18)))


def simulated(found: Plan, count: int) -> RtlResult:
    """``count`` crops in a row through the circuit, whose scores are the golden model's, as are the machine's maps."""
    picture = load_sample_image("flower.jpg")
    images = np.stack([picture[n * 40 :, n * 90 :][:SIZE, :SIZE] for n in range(count)])
    expected = golden.trace(found.network, images)
    assert first_mismatch(found.symbols, expected, machine.trace(found, images)) is None
    with Simulation.of(found, effort=Effort.COMPILE, keep=False) as simulation:
        result = simulation.run(images)
    assert np.array_equal(result.scores, expected[found.network.output][:, 0, 0])
    return result
