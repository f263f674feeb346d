"""Post-processor as a whole against the formula: what is stored where, in which order, and when it can be read."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from bnnhw.hw.post.processor import PostProcessor
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.program import POOL, Widths, lane_layout, param_bits
from bnnhw.spec.timing import ACTIVATION_WRITE, EARLY, POST_SWITCH, job_cycles, post_latency
from tests.hw import play as kit
from tests.hw.post.formula import output, published
from tests.hw.post.passes import classes_of, random_jobs, vectors_of

ACC, SUM, POOLED = 5, 4, 7
JOBS = 4


class Work:
    """Random jobs with parameters, tiles and a value memory, and everything that they must store."""

    def __init__(self, rng, config):
        self.config = config
        self.images, self.passes = random_jobs(rng, config, JOBS)
        self.values = rng.integers(
            -(1 << config.post.value_width - 1), 1 << config.post.value_width - 1,
            (1 << Widths.of(config).value_addr, config.lanes),
        )  # fmt: skip
        self.params = [self._params(rng, p) for p in self.passes]
        self.tiles = [[self._tile(rng, p, vectors) for vectors in vectors_of(config, p)] for p in self.passes]

    def _params(self, rng, p):
        c, layout = self.config, lane_layout(self.config)
        half = {f.name: 1 << f.width >> 1 for f in layout.fields}
        if p["kind"] == POOL:
            half["sum_scale"] = 0  # the array's sum is that of an earlier pass
        records = [[{n: int(rng.integers(-h, h)) if h else 0 for n, h in half.items()} for _ in range(c.lanes)]
                   for _ in range(c.subs)]  # fmt: skip
        top = 1 << c.post.entry_width - 1
        entries = rng.integers(-top, top, (classes_of(p) + 1, c.subs, c.lanes))
        pooled = c.post.border_width and p["kind"] == POOL  # no border adds to a pooled value
        return records, entries * (not pooled)

    def beats(self):
        """Parameter beats of one frame, and the last class of every pass."""
        c, layout = self.config, lane_layout(self.config)
        beats = []
        for records, entries in self.params:
            beats += [layout.pack(record) for sub in records for record in sub]
            beats += [kit.pack(group, c.post.entry_width) for group in entries.reshape(-1, c.entries_per_beat)]
        return beats, [len(entries) - 1 for _, entries in self.params]

    def _tile(self, rng, p, vectors):
        """The vectors of every cycle from the capture on, each with what the sources show then."""
        c = self.config
        lines = {}
        for vector in vectors:
            if p["kind"] == POOL:
                line = {"i_values": rng.integers(-(1 << POOLED - 1), 1 << POOLED - 1, c.lanes).tolist()}
            else:
                line = {"i_counts": rng.integers(0, 1 << ACC, c.cols).tolist()}
                line |= {"i_sum": int(rng.integers(1 << SUM))} if c.sum_width else {}
            vector["inputs"] = lines.setdefault(vector["r"], line)
        return vectors

    def stores(self, n):
        """Values, bits and scores that pass ``n`` stores, in order."""
        c, p = self.config, self.passes[n]
        records, entries = self.params[n]
        values, bits, scores = [], [], []
        for vector in (v for tile in self.tiles[n] for v in tile if v["inside"]):
            sub, line = vector["sub"], vector["inputs"]
            y, bit = [], []
            for lane in range(c.lanes):
                x = line["i_values"][lane] if p["kind"] == POOL else line["i_counts"][sub * c.lanes + lane]
                residual = int(self.values[vector["residual_address"], lane]) if c.post.residual else 0
                record = records[sub][lane]
                entry = int(entries[vector["class_"], sub, lane])
                y.append(output(c, record, p, x, line.get("i_sum", 0), entry, residual))
                bit.append(published(c, record, p, y[-1], vector["plane"]))
            if vector["plane"] == 0 and p["value"]:
                values.append((vector["value_address"], kit.pack(y, c.post.value_width)))
            if vector["plane"] == 0 and p["score"]:
                scores.append(y)
            if p["bits"]:
                bits.append(vector["write"] | {"bits": kit.pack(bit)})
        return values, bits, scores


class Surroundings:
    """Captures, memories and loading requests around a post-processor; records what it stores, with the cycle."""

    def __init__(self, dut, bench, work, rng, gaps):
        self.dut, self.bench, self.work, self.rng, self.gaps = dut, bench, work, rng, gaps
        self.retired, self.values, self.bits, self.scores = [], [], [], []
        self.loaded, self.requested, self.quiet = 0, 0, 0
        self.last_classes = work.beats()[1]
        self.answers = deque([self.work.values[0]] * 3)  # the value memory answers four cycles later
        self.sources = deque([{}] * EARLY)  # results come later than the captures that announce them

    async def cycle(self, ctx, pulse=(), inputs=()):
        dut, now = self.dut, self.bench.cycle
        self.sources.append(dict(inputs))
        for name, value in {"i_capture": 0, **dict(pulse), **self.sources.popleft()}.items():
            ctx.set(getattr(dut, name), value)
        free = self.requested < len(self.last_classes) * 2 and self.requested == self.loaded
        request = free and self.requested - len(self.retired) < 2
        ctx.set(dut.i_load.valid, request)
        if request:
            last = self.last_classes[self.requested % len(self.last_classes)]
            ctx.set(dut.i_load.payload, {"last_class": last, "bank": self.requested % 2})
            self.requested += 1
        self.loaded += ctx.get(dut.o_loaded)
        if ctx.get(dut.o_retired):
            self.retired.append(now)
        writes = dut.o_writes
        if ctx.get(writes.value_valid):
            self.values.append((now, (ctx.get(writes.value_address), ctx.get(writes.value_word))))
        if ctx.get(writes.bits_valid):
            self.bits.append((now, plain(ctx.get(writes.bits))))
        if ctx.get(dut.o_score_valid):
            self.scores.append((now, plain(ctx.get(dut.o_scores))))
        self.answers.append(self.work.values[ctx.get(dut.o_residual_address)])
        await ctx.tick()
        ctx.set(dut.i_residual, kit.pack(self.answers.popleft(), self.work.config.post.value_width))

    async def play(self, ctx):
        """Two frames; gives the cycle of every pass's last vector."""
        self.ends = []
        for number in range(2 * len(self.work.passes)):
            n = number % len(self.work.passes)
            while self.loaded <= number:
                await self.cycle(ctx)
            for _ in range(job_cycles(self.work.config) if self.work.passes[n]["first"] else POST_SWITCH):
                await self.cycle(ctx)
            for tile in self.work.tiles[n]:
                while self.rng.random() < self.gaps:
                    await self.cycle(ctx)
                for k, vector in enumerate(tile):
                    pulse = {"i_capture": 1} if k == 0 else {}
                    await self.cycle(ctx, pulse, vector["inputs"])
            self.ends.append(self.bench.cycle - 1)
        for _ in range(40):
            await self.cycle(ctx)


OPTIONS = {
    "plain": {},
    "slope": {"slope_width": 4, "slope_shifts": (1, 3), "in_offset_width": 6, "out_offset_width": 6},
    "codes": {"code_shifts": (1, 4), "code_planes": 3, "residual": True},
    "border": {"border_width": 4, "residual": True},
    "all": {
        "slope_width": 4, "slope_shifts": (2,), "in_offset_width": 6, "out_offset_width": 6, "code_shifts": (2, 3),
        "code_planes": 2, "residual": True, "sum_scale_width": 4,
    },
    "all, border": {
        "slope_width": 4, "slope_shifts": (2,), "in_offset_width": 6, "out_offset_width": 6, "code_shifts": (2, 3),
        "code_planes": 2, "residual": True, "sum_scale_width": 4, "border_width": 3,
    },
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 6, 6, 2)], ids=["smallest", "folded"])
def test_stores(engine_config, post_config, options, gaps, shape):
    rng = np.random.default_rng([len(options), shape[0]])
    post = post_config(
        **{"scale_width": 4, "offset_width": 10, "pre_width": 15, "value_width": 7, "shifts": (0, 2)} | OPTIONS[options]
    )
    rows, cols, depth, lanes = shape
    config = engine_config(
        rows=rows, cols=cols, depth=depth, lanes=lanes, post=post, acc_width=ACC, pool_width=POOLED, bit_words=90,
        sum_width=SUM if post.sum_scale_width else 0, pool_modes=("sum",), value_words=70, kernel=3, map_size=20,
        classes=25, passes=3,
    )  # fmt: skip
    work = Work(rng, config)
    dut = PostProcessor(config, work.images)
    bench = Bench(dut, watchdog=100_000)
    assert all(beat >> param_bits(config) == 0 for beat in work.beats()[0])
    bench.drive(dut.i_beat, work.beats()[0] * 2, stall=gaps / 2)
    around = Surroundings(dut, bench, work, rng, gaps)
    bench.testbench(around.play)
    bench.run()
    assert around.retired == [end + post_latency(config) for end in around.ends]
    expected = [work.stores(n) for n in range(len(work.passes))] * 2
    assert [word for _, word in around.values] == [w for values, _, _ in expected for w in values]
    assert [word for _, word in around.bits] == [w for _, bits, _ in expected for w in bits]
    assert [word for _, word in around.scores] == [w for _, _, scores in expected for w in scores]
    values, bits = iter(around.values), iter(around.bits)
    for retired, (own_values, own_bits, _) in zip(around.retired, expected, strict=True):
        assert all(next(values)[0] < retired for _ in own_values)
        assert all(next(bits)[0] + ACTIVATION_WRITE <= retired for _ in own_bits)
