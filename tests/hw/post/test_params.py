"""Parameter store: records and entries where they belong, exact cycles, one bank loads while the other is read."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.hw.post.params import ParamStore
from bnnhw.sim.kit import Bench, plain
from bnnhw.spec.program import Widths, lane_layout, param_bits
from bnnhw.spec.timing import param_cycles
from tests.hw import play as kit

SHAPES = [  # lanes, subs, classes, entries_per_beat
    (1, 1, 1, 1),
    (1, 3, 2, 1),
    (4, 1, 9, 2),
    (4, 2, 5, 4),
    (6, 4, 3, 3),
    (2, 3, 9, 1),
]


@pytest.mark.parametrize(("lanes", "subs", "classes", "per_beat"), SHAPES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("widths", [(6, 0), (9, 6)], ids=["offsets", "borders"])
def test_passes(engine_config, post_config, lanes, subs, classes, per_beat, stall, widths):
    rng = np.random.default_rng(lanes)
    offset, border = widths
    post = post_config(
        scale_width=4, offset_width=offset, border_width=border, value_width=7, slope_width=3, out_offset_width=2
    )
    config = engine_config(lanes=lanes, cols=lanes * subs, classes=classes, entries_per_beat=per_beat, post=post)
    dut = ParamStore(config)
    width, size = param_bits(config), dut.record.size
    passes, beats = [], []
    for n in range(5):
        last_class = int(rng.integers(classes)) if n else classes - 1
        records = [[int(v) for v in rng.integers(0, 1 << size, lanes)] for _ in range(subs)]
        entries = rng.integers(-32, 32, (last_class + 1, subs, lanes))
        passes.append((last_class, records, entries))
        # beyond its fields a beat may hold anything
        tops = int(rng.integers(1 << width - size)) if width > size else 0
        beats += [word | tops << size for sub in records for word in sub]
        beats += [kit.pack(group, 6) for group in entries.reshape(-1, per_beat)]
    bench = Bench(dut)
    bench.drive(dut.i_beat, beats, stall=stall)

    async def load_and_read(ctx):
        for n, (last_class, _, _) in enumerate(passes):
            ctx.set(dut.i_load.payload, {"last_class": last_class, "bank": n % 2})
            ctx.set(dut.i_load.valid, 1)
            assert ctx.get(dut.i_load.ready)
            start = bench.cycle
            await ctx.tick()
            ctx.set(dut.i_load.payload, {"last_class": 0, "bank": 1 - n % 2})  # held no longer
            ctx.set(dut.i_load.valid, 0)
            reader = ctx_read(ctx, passes[n - 1], 1 - n % 2) if n else iter(())
            done = 0
            while not done:
                done = ctx.get(dut.o_done)
                await next(reader, ctx.tick())
            taken = bench.cycle - 1 - start
            exact = param_cycles(config, last_class)
            assert taken == exact if stall == 0.0 else taken >= exact
            assert not ctx.get(dut.o_done)
            for step in reader:
                await step

        for step in ctx_read(ctx, passes[-1], (len(passes) - 1) % 2):
            await step

    def ctx_read(ctx, wanted, bank):
        """Reads a whole pass; yields what to wait for in each cycle."""
        last_class, records, entries = wanted
        sub_bits, class_bits = (subs - 1).bit_length(), Widths.of(config).classes
        for sub in range(subs):
            for class_ in range(last_class + 1):
                for name in dut.record.members:  # one after the other: each field has an address of its own
                    ctx.set(dut.i_record, dict.fromkeys(dut.record.members, 0) | {name: sub | bank << sub_bits})
                    yield ctx.tick()
                    mine = [plain(ctx.get(dut.o_record[k][name])) for k in range(lanes)]
                    assert mine == [lane_layout(config).unpack(word)[name] for word in records[sub]]
                ctx.set(dut.i_entry, sub | class_ << sub_bits | bank << sub_bits + class_bits)
                yield ctx.tick()
                yield ctx.tick()
                assert plain(ctx.get(dut.o_entry)) == entries[class_, sub].tolist()

    bench.testbench(load_and_read)
    bench.run()
