"""The real host program against the serial pins of host link and stand-in engine, in Verilator under cocotb."""

import numpy as np
import pytest

from bnnhw.errors import BnnhwError
from bnnhw.hw.top import Top
from bnnhw.sim.rtl.pins import play
from bnnhw.sim.rtl.verilator import Effort
from bnnhw.spec.link import Identity

IDENTITY = Identity(build=7, height=5, width=3, channels=2, scores=4, score_bits=19, counters=7, clock_hz=24_000_000)


async def classify(pins, images):
    """Garbage first, then the images by the host program."""
    from bnnhw.boards.host import Host

    await pins.send_bits([0] * 30)  # a break
    await pins.send(b"\x13garbage\xff")

    def program(pipe):
        host = Host(pipe, timeout=0.001, compute_timeout=0.01)
        scores = list(host.infer_all(bytes(image) for image in images))
        return scores, host.counters(), host.identity.build

    scores, counters, build = await pins.host(program)
    return {"scores": scores, "counters": counters, "build": build, "errors": pins.errors}


async def fail(pins, data):
    raise ValueError(f"no {data}")


def top(stand_in, weights):
    return Top(stand_in(weights), identity=IDENTITY, baud=3_000_000)


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).integers(-128, 128, (4, 30))


def test_host_at_the_pins(stand_in, weights):
    images = np.random.default_rng(2).integers(0, 256, (3, 30))
    found = play(top(stand_in, weights), classify, images.tolist(), effort=Effort.COMPILE)
    assert found["scores"] == (images @ weights.T).tolist()
    assert found["build"] == 7
    assert found["counters"][1] == 30
    assert found["errors"] == 0


def test_what_the_script_raises(stand_in, weights):
    with pytest.raises(BnnhwError, match=r"^simulation at the pins: ValueError: no luck$"):
        play(top(stand_in, weights), fail, "luck", effort=Effort.COMPILE)
