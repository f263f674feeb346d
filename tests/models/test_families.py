"""Networks of the catalogue at a reduced size: float and integer network and machine agree, layer by layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnnhw.compiler.calibrate import calibrate
from bnnhw.compiler.frontend import adabin, dwr, ftbnn, snn, torch_exec, vgg
from bnnhw.compiler.ir import interpret
from bnnhw.compiler.lower import lower
from bnnhw.compiler.passes.formats import Widths
from bnnhw.compiler.plan import Shape, plan
from bnnhw.sim import golden, machine
from tests.models.kit import fitted, pixels, scores

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "adabin_r20": (adabin, {"blocks": (1, 1), "size": 16, "stem_bits": 12}),
    "adabin_r18_cifar": (adabin, {"blocks": (1, 1), "size": 16, "stem_bits": 12}),
    "adabin_r18": (adabin, {"blocks": (1, 1), "size": 32, "stem_bits": 12, "classes": 10}),
    "adabin_r34": (adabin, {"blocks": (2, 1), "size": 32, "stem_bits": 12, "classes": 10}),
    "adabin_vgg": (vgg, {"size": 16}),
    "snn_vgg": (vgg, {"size": 16}),
    "snn_r18": (snn, {"blocks": (2, 2), "size": 32, "classes": 10}),
    "snn_r34": (snn, {"blocks": (3, 2), "size": 32, "classes": 10}),
    "dwr_r18_plain": (dwr, {"depths": (1, 2), "size": 32, "stem": 16, "classes": 10}),
    "dwr_r18_react": (dwr, {"depths": (1, 2), "size": 32, "stem": 8, "classes": 10}),
    "dwr_cifar_r18": (dwr, {"depths": (2, 2), "size": 16, "stem": 8}),
    "dwr_r20_react": (dwr, {"depths": (1, 2), "size": 16, "stem": 8, "aligned": 16}),
    "dwr_vgg_small": (dwr, {"widths": (16, 32, 32), "pooled": (1, 2), "size": 16, "stem": 16}),
    "ftbnn_r18": (ftbnn, {"blocks": (2, 2), "group": 8, "size": 32, "classes": 10}),
    "ftbnn_r34": (
        ftbnn,
        {"blocks": (2, 2), "group": 8, "size": 32, "classes": 10, "kind": "rprelu", "place": "before_add"},
    ),
}
"""A block of each kind: random weights decide nothing clearly, so that flipped bits soon fill a deep network.
Of DWR's two with photographs, one has a stem of as many channels as the first stage, one a narrower stem."""


@pytest.mark.parametrize("name", SMALL)
def test_reduced_network(name: str) -> None:
    """The first bits are the float network's but for two in a thousand, the last but for one in 16. The mean error of a
    score is below half of what images change it by; the machine gives exactly the integer scores."""
    family, changes = SMALL[name]
    arch = replace(family.ARCHS[name], **{"widths": (16, 32)} | changes)
    shape = (arch.size, arch.size, 3)
    known = pixels(48, shape, seed=9)
    graph = calibrate(fitted(family.untrained(name, arch), known), known)
    network, images = lower(graph, Widths(18, 18)), pixels(48, shape)
    found, wanted = golden.trace(network, images[:8]), interpret.trace(graph, images[:8])
    names = [layer.post.publish.bits for layer in network.layers if layer.post.publish.bits is not None]
    agreement = [float(((found[bits] > 0) == (wanted[bits] > wanted[bits].mean())).mean()) for bits in names]
    assert len(agreement) >= 3
    assert agreement[0] > 0.998
    assert min(agreement) > 1 - 1 / 16
    expected = torch_exec.run(graph, images, double=True)
    assert expected.std(axis=0).min() > 0.05
    assert np.abs(scores(network, images) - expected).mean() < expected.std(axis=0).mean() / 2
    made = plan(network, shape=Shape(4, 8, 32, 8, 4))
    assert (machine.run(made, images[:2]) == golden.run(network, images[:2])).all()
