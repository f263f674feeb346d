"""Clock of every block of an engine by itself, registers around it: where the design's slowest path is.

python benchmarks/block_clocks.py --model adabin_r20 --shape 2x16x48x16x4 [--only lane walker]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw import boards, models
from bnnhw.boards.emit import for_board
from bnnhw.boards.layout import Options, place_and_route
from bnnhw.boards.synthesis import synthesise
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape, plan
from bnnhw.hw.front.front import Front
from bnnhw.hw.input.windows import InputWindows
from bnnhw.hw.memory.activation import ActivationMemory
from bnnhw.hw.pool.reader import PoolReader
from bnnhw.hw.post.lane import Lane
from bnnhw.hw.post.params import ParamStore
from bnnhw.hw.post.walk import VectorWalker
from bnnhw.hw.scores import Scores
from bnnhw.hw.sequencer.fetch import Fetch
from bnnhw.hw.sequencer.issue import Issue
from bnnhw.hw.sequencer.prefetch import Prefetcher
from bnnhw.hw.weights.loader import WeightLoader


class Alone(wiring.Component):
    """A block between registers: inputs from a shift register, outputs registered and reduced to one bit."""

    def __init__(self, block: wiring.Component) -> None:
        self.block = block
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = self.block
        inputs: list[Value] = []
        outputs: list[Value] = []
        for _path, member, value in self.block.signature.flatten(self.block):
            (inputs if member.flow == In else outputs).append(Value.cast(value))
        shift, held = Signal(sum(map(len, inputs))), Signal(sum(map(len, outputs)))
        m.d.sync += [shift.eq(Cat(self.rx, shift)), held.eq(Cat(outputs))]
        m.d.comb += Cat(inputs).eq(shift)
        while len(held) > 1:
            reduced = Signal(-(-len(held) // 4), name=f"reduced_{len(held)}")
            m.d.sync += reduced.eq(Cat(held[n : n + 4].xor() for n in range(0, len(held), 4)))
            held = reduced
        m.d.comb += self.tx.eq(held)
        return m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="snn_digits")
    parser.add_argument("--shape", default="2x16x48x16x4", help="rows x cols x depth x lanes x fetch x front")
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    chosen = plan(lower(models.load(arguments.model)), None, Shape.parse(arguments.shape))
    c, images = chosen.engine, chosen.images
    blocks: dict[str, Callable[[], wiring.Component]] = {
        "lane": lambda: Lane(c),
        "walker": lambda: VectorWalker(c, images),
        "issue": lambda: Issue(c, images),
        "prefetch": lambda: Prefetcher(c, images),
        "params": lambda: ParamStore(c),
        "pool": lambda: PoolReader(c),
        "scores": lambda: Scores(c),
        "activations": lambda: ActivationMemory(c),
        "fetch": lambda: Fetch(c, images),
        "loader": lambda: WeightLoader(c, images.decodes),
    }
    if c.front is not None and images.front is not None:
        front = images.front
        blocks["front"] = lambda: Front(c, front)
    else:
        blocks["windows"] = lambda: InputWindows(c)
    board = boards.get("ulx3s")
    for name, make in blocks.items():
        if arguments.only and name not in arguments.only:
            continue
        with tempfile.TemporaryDirectory(prefix="clock-", dir=".") as folder:
            sources = for_board(Alone(make()), board, 100_000_000)
            netlist = synthesise(sources, Path(folder)).netlist
            layout = place_and_route(netlist, sources.lpf, board, Options(placer="heap"))
        timing = layout.design_clock
        print(f"{name:12} {timing.achieved_mhz:6.1f} MHz  {layout.resources.lut4:6} LUT4")
        if timing.achieved_mhz < 115:
            print(timing.path)


if __name__ == "__main__":
    main()
