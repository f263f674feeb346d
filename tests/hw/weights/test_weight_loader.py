"""Weight loader, decoder and buffer together against NumPy: raw and codebook passes mixed, beats with stalls."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.weights.buffer import WeightBuffer
from bnnhw.hw.weights.loader import WeightLoader, load_request
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.program import decode_layout
from bnnhw.spec.timing import load_cycles


class Weights(wiring.Component):
    """Loader and buffer, wired as in the engine."""

    def __init__(self, config, decodes):
        self.loader, self.buffer = WeightLoader(config, decodes), WeightBuffer(config)
        super().__init__(
            {
                "i_load": In(stream.Signature(load_request(config))),
                "i_beat": In(stream.Signature(config.beat_bits)),
                "i_read": In(len(self.buffer.i_read)),
                "o_read": Out(self.buffer.o_read.shape()),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader, m.submodules.buffer = loader, buffer = self.loader, self.buffer
        wiring.connect(m, loader.i_load, wiring.flipped(self.i_load))
        wiring.connect(m, loader.i_beat, wiring.flipped(self.i_beat))
        m.d.comb += [
            buffer.i_enable.eq(loader.o_enable),
            buffer.i_write.eq(loader.o_address),
            buffer.i_data.eq(loader.o_data),
            buffer.i_read.eq(self.i_read),
            self.o_read.eq(buffer.o_read),
            self.o_done.eq(loader.o_done),
        ]
        return m


def pack(bits):
    return sum(int(b) << i for i, b in enumerate(np.asarray(bits).reshape(-1)))


def raw_pass(rng, config, words):
    """Beats of a raw pass, and the weight words (words, cols, depth) they make."""
    weights = rng.integers(0, 2, (words, config.cols, config.depth))
    beats = [pack(weights[w, g : g + config.fetch]) for g in range(0, config.cols, config.fetch) for w in range(words)]
    return beats, weights


def codebook_pass(rng, config, entries):
    """Beats of a codebook pass that plays ``entries``, and the weight words they make."""
    book = rng.integers(0, 2, (1 << config.tau, 9))
    beats = [pack(book[:, t]) for t in range(9)]
    weights = np.zeros((len(entries), config.cols, config.slots, config.lanes), dtype=int)
    for g in range(0, config.cols, config.fetch):
        index = None
        for w, entry in enumerate(entries):
            if entry["load"]:
                index = rng.integers(0, 1 << config.tau, (config.fetch, config.slots, config.lanes))
                beats += [pack(index >> b & 1) for b in range(config.tau)]
            for s in range(config.slots):
                if entry[f"en{s}"]:
                    weights[w, g : g + config.fetch, s] = book[index[:, entry[f"group{s}"]], entry[f"tap{s}"]]
    return beats, weights.reshape(len(entries), config.cols, config.depth)


def entries_of(rng, config, words):
    """Random decode words; the first one must load indices."""
    for w in range(words):
        entry = {"load": int(w == 0 or rng.random() < 0.3)}
        for s in range(config.slots):
            entry |= {f"en{s}": int(rng.random() < 0.8), f"tap{s}": int(rng.integers(9))}
            entry[f"group{s}"] = int(rng.integers(config.slots))
        if config.alike:
            for s in range(config.slots):
                entry |= {f"tap{s}": entry["tap0"], f"group{s}": s, f"en{s}": entry[f"en{s}"] if config.partial else 1}
        yield entry


def play(config, kinds, stall, seed=0):
    """Loads passes of (codebook, words) into alternating banks, reading each back while the next one loads."""
    rng = np.random.default_rng(seed)
    entries = list(entries_of(rng, config, config.weight_words)) if config.tau else []
    layout = decode_layout(config)
    decodes = [layout.pack({f.name: e[f.name] for f in layout.fields}) for e in entries]
    loads, beats, expected, cycles = [], [], [], []
    for n, (codebook, words) in enumerate(kinds):
        load = {"weights": 1, "codebook": int(codebook), "last_word": words - 1, "decode": 0, "last_class": 0}
        if codebook:
            load["decode"] = rng.choice([i for i, e in enumerate(entries) if e["load"] and i <= len(entries) - words])
            new, weights = codebook_pass(rng, config, entries[load["decode"] :][:words])
        else:
            new, weights = raw_pass(rng, config, words)
        beats += new
        expected.append(weights)
        loads.append({k: v for k, v in load.items() if k in load_request(config).members} | {"bank": n % 2})
        cycles.append(load_cycles(config, load, decodes))
    dut = Weights(config, decodes)
    bench = Bench(dut, seed=seed)
    taken = []

    async def load_and_read(ctx):
        clock = 0
        for n, load in enumerate(loads):
            ctx.set(dut.i_load.payload, load)
            ctx.set(dut.i_load.valid, 1)
            assert ctx.get(dut.i_load.ready)
            start, done = clock, None
            await ctx.tick()
            clock += 1
            ctx.set(dut.i_load.valid, 0)
            words = len(expected[n - 1]) if n else 0
            found = []
            for w in range(words + bool(words)):  # the pass before, while this one loads; answers come two cycles later
                ctx.set(dut.i_read, min(w, words - 1) | ((n - 1) % 2) << (len(dut.i_read) - 1))
                done = clock if ctx.get(dut.o_done) else done
                await ctx.tick()
                clock += 1
                if w:
                    found.append(plain(ctx.get(dut.o_read)))
            if n:
                assert found == [[pack(c) for c in word] for word in expected[n - 1]], f"pass {n - 1}"
            while done is None:
                done = clock if ctx.get(dut.o_done) else None
                if done is None:
                    await ctx.tick()
                    clock += 1
            taken.append(done - start)

    bench.drive(dut.i_beat, beats, stall=stall)
    bench.testbench(load_and_read)
    bench.run()
    return taken, cycles


SHAPES = [
    {"cols": 1, "depth": 4, "lanes": 4, "fetch": 1, "tau": 0, "weight_words": 5},
    {"cols": 6, "depth": 6, "lanes": 2, "fetch": 2, "tau": 0, "weight_words": 8},
    {"cols": 4, "depth": 16, "lanes": 4, "fetch": 2, "tau": 5, "weight_words": 16},
    {"cols": 2, "depth": 16, "lanes": 16, "fetch": 1, "tau": 4, "weight_words": 7},
    {"cols": 6, "depth": 24, "lanes": 8, "fetch": 3, "tau": 6, "weight_words": 9},
    {"cols": 2, "depth": 4, "lanes": 2, "fetch": 1, "tau": 1, "weight_words": 9},
]


CODED = [shape for shape in SHAPES if shape["tau"]]
ALIKE = [shape | slots for shape in CODED for slots in ({"alike": True}, {"alike": True, "partial": True})]


@pytest.mark.parametrize("shape", [*SHAPES, *ALIKE], ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_weights_arrive(engine_config, shape, stall):
    config = engine_config(rows=2, **shape)
    rng = np.random.default_rng(7)
    kinds = [(bool(config.tau) and n % 3 != 1, int(rng.integers(1, config.weight_words + 1))) for n in range(7)]
    taken, predicted = play(config, [*kinds, (False, 1), (False, config.weight_words)], stall)
    if stall == 0.0:
        assert taken == predicted
    else:
        assert all(t >= p for t, p in zip(taken, predicted, strict=True))
