"""Plans as a whole: errors, limits, choice of a shape, equal bytes in every process."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bnnhw.compiler.frontend import snn, vgg
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Limits, Shape, auto, plan, resources
from bnnhw.errors import BnnhwError, DoesNotFitError, UnsteadyError, UnsupportedError
from bnnhw.sim import golden, machine
from bnnhw.sim.fuzz.network import random_images, random_network
from bnnhw.spec.network import Conv
from bnnhw.spec.numbers import Codes

SHAPE = Shape(2, 8, 16, 4, 4)
LARGE = Limits(lut4=83640, bram18k=208, dsp=156)


def changed(network, index, **fields):
    """The network with fields of one layer replaced."""
    layers = list(network.layers)
    layers[index] = replace(layers[index], **fields)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"rows": 0}, "rows must be at least 1, not 0"),
        ({"lanes": 3}, "lanes must divide cols = 8, not be 3"),
        ({"lanes": 8, "depth": 12}, "lanes must divide depth = 12, not be 8"),
        ({"fetch": 5}, "fetch must divide cols = 8, not be 5"),
    ],
)
def test_shape_errors(fields, text):
    with pytest.raises(BnnhwError) as error:
        replace(SHAPE, **fields)
    assert str(error.value) == text


def test_no_shape_and_no_limits():
    with pytest.raises(BnnhwError) as error:
        plan(random_network(1, 0))
    assert str(error.value) == "limits must be given where no shape is"


def test_input_deeper_than_the_array():
    network = next(n for n in (random_network(1, i) for i in range(40)) if n.tensors[n.input].channels == 3)
    with pytest.raises(DoesNotFitError) as error:
        plan(network, shape=Shape(1, 2, 2, 2, 2))
    name = network.input
    assert str(error.value) == f"depth of the array must be at least the 3 channels of input {name}, not 2"


def test_too_small_a_chip():
    network = random_network(1, 3)
    need = resources(plan(network, shape=SHAPE))
    with pytest.raises(DoesNotFitError) as error:
        plan(network, Limits(lut4=83640, bram18k=208, dsp=4), SHAPE)
    assert str(error.value) == (
        f"multipliers of network {network.name} on a 2 x 8 x 16 array with 4 lanes must be at most 4, not {need.dsp}"
    )
    with pytest.raises(DoesNotFitError, match="of network fuzz 1/3 on a .* array with . lanes must be at most"):
        plan(network, Limits(lut4=100, bram18k=1, dsp=1))


def test_a_map_too_large_for_a_chip():
    network = lower(snn.untrained("small", snn.Arch(blocks=(1, 1), widths=(16, 16), tau=4, size=64, classes=7)))
    width = plan(network, shape=SHAPE).engine.post.value_width
    need = -(-16 * 16 * 16 * width // 18432)
    with pytest.raises(DoesNotFitError) as error:
        plan(network, Limits(lut4=83640, bram18k=need - 1, dsp=156))
    assert str(error.value) == (
        f"block RAMs of tensor maxpool of network small (16 x 16 x 16 values of {width} bits) must be at most "
        f"{need - 1}, not {need}"
    )


def test_an_image_too_large_without_a_front_unit():
    network = lower(snn.untrained("small", snn.Arch(blocks=(1, 1), widths=(16, 16), tau=4, size=64, classes=7)))
    need = -(-2 * 8 * 32 * 32 * 147 // 18432)
    with pytest.raises(DoesNotFitError) as error:
        plan(network, Limits(lut4=83640, bram18k=need - 1, dsp=156), SHAPE)
    assert str(error.value) == (
        f"block RAMs of the image windows of network small must be at most {need - 1}, not {need}: its shape needs a "
        "front unit"
    )
    assert plan(network, Limits(lut4=83640, bram18k=need - 1, dsp=156), replace(SHAPE, front=8)).engine.front
    assert resources(plan(network, shape=SHAPE)).bram18k > need


def test_a_front_unit_where_nothing_fits_without(monkeypatch):
    """A wide dense layer has a step for every few inputs and bits; with a front unit all slots share its read."""
    network = lower(vgg.untrained("small", vgg.Arch(tau=5, widths=(16, 16))))
    limits = Limits(lut4=83640, bram18k=72, dsp=156)
    chosen = plan(network, limits)
    assert chosen.engine.front is not None
    assert resources(chosen).over(limits) is None

    def unsuited(*_):
        raise UnsupportedError("no front unit can compute it")

    monkeypatch.setattr(auto, "most_columns", unsuited)
    with pytest.raises(DoesNotFitError, match="^block RAMs of network small on a .* must be at most 72, not "):
        plan(network, limits)


def test_a_shape_whose_frames_differ_is_not_chosen(monkeypatch):
    network = random_network(1, 3)
    best = plan(network, LARGE).shape
    make_plan, refused = auto.make_plan, []

    def unsteady(found, shape, *rest, **named):
        if shape == best or not refused:  # the first is the one that widths are taken from
            refused.append(shape)
            raise UnsteadyError("frames differ")
        return make_plan(found, shape, *rest, **named)

    monkeypatch.setattr(auto, "make_plan", unsteady)
    other = plan(network, LARGE)
    assert other.shape != best
    assert best in refused
    assert resources(other).over(LARGE) is None
    monkeypatch.setattr(auto, "make_plan", lambda *_, **__: unsteady(None, best))
    with pytest.raises(UnsteadyError, match="frames differ"):
        plan(network, LARGE)


def test_unsupported_networks_name_the_layer():
    network = random_network(1, 0)
    last = network.layers[-1]
    tensors = dict(network.tensors)
    tensors[network.input] = replace(tensors[network.input], format=Codes(4))
    post = replace(last.post, affine=replace(last.post.affine, offset=np.zeros((last.post.affine.scale.size, 5), int)))
    cases = [
        (
            replace(network, tensors=tensors),
            f"network input {network.input} must be 8-bit codes, not Codes(bits=4)",
        ),
        (
            replace(network, layers=network.layers[:-1]),
            f"the last layer must publish the scores {network.output}, not layer {network.layers[-2].name}",
        ),
        (
            changed(network, -1, source=network.output),
            f"layer {last.name} must read what an earlier layer publishes, not {network.output}",
        ),
        (
            changed(network, -1, post=post),
            f"offset of layer {last.name} must have 1 border classes, not 5",
        ),
    ]
    for bad, text in cases:
        with pytest.raises(UnsupportedError) as error:
            plan(bad, shape=SHAPE)
        assert str(error.value) == text


def test_activation_sum_with_wide_weights():
    for i in range(100):
        network = random_network(1, i)
        for number, layer in enumerate(network.layers):
            if isinstance(layer, Conv) and layer.post.affine.sum_scale is not None:
                with pytest.raises(UnsupportedError) as error:
                    plan(changed(network, number, weight_bits=2), shape=SHAPE)
                assert str(error.value) == f"layer {layer.name} with activation sum must have 1-bit weights, not 2"
                return
    pytest.fail("no network with an activation sum")


@pytest.mark.parametrize("index", range(3))
def test_chosen_shape_fits_and_is_right(index):
    network = random_network(2, index)
    tensor = network.tensors[network.input]
    chosen = plan(network, LARGE)
    need = resources(chosen)
    assert need.over(LARGE) is None
    images = random_images(np.random.default_rng(index), 2, (tensor.height, tensor.width, tensor.channels))
    assert np.array_equal(machine.run(chosen, images), golden.run(network, images))


def test_a_small_chip_gets_a_smaller_array():
    network = random_network(2, 1)
    large, small = plan(network, LARGE), plan(network, Limits(lut4=12000, bram18k=56, dsp=28))
    assert small.engine.macs_per_cycle < large.engine.macs_per_cycle
    assert small.cost.frame > large.cost.frame


def test_the_smallest_array_that_is_fast_enough():
    network = random_network(2, 1)
    fastest = plan(network, LARGE)
    enough = 4 * fastest.cost.frame
    slow = plan(network, LARGE, enough=enough)
    assert fastest.cost.frame < slow.cost.frame <= enough
    assert resources(slow).lut4 < resources(fastest).lut4
    assert plan(network, LARGE, enough=1).shape == fastest.shape


DUMP = """
import hashlib
from bnnhw.compiler.plan import Limits, Shape, plan
from bnnhw.sim.fuzz.network import random_network
text = ""
for index in range(6):
    p = plan(random_network(3, index), shape=Shape(3, 8, 16, 4, 2))
    text += repr(p.engine) + repr(p.images) + repr(p.layer_of_job)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_same_bytes_in_every_process():
    sums = {
        subprocess.run(
            [sys.executable, "-c", DUMP], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(sums) == 1
