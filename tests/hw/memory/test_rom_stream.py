"""ROM stream: the words in order for ever, with and without stalls, at full rate."""

from __future__ import annotations

import pytest

from bnnhw.hw.memory.rom_stream import RomStream
from bnnhw.sim.kit import Bench


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 33])
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_plays_words_again_and_again(count, stall):
    words = [(i * 37 + 5) % 256 for i in range(count)]
    dut = RomStream(words, 8)
    bench = Bench(dut, seed=count)
    got = bench.drain(dut.o, 3 * count + 50, stall=stall)
    bench.run()
    assert got == [words[i % count] for i in range(3 * count + 50)]


def test_full_rate():
    dut = RomStream(range(5), 3)
    bench = Bench(dut)
    bench.drain(dut.o, 100)
    bench.run()
    assert bench.cycle <= 100 + 4


def test_without_words_plays_zeros():
    dut = RomStream((), 4)
    bench = Bench(dut)
    got = bench.drain(dut.o, 3)
    bench.run()
    assert got == [0, 0, 0]
