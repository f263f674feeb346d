"""LUT4s per MAC and clock of the array alone, both popcount forms, over sizes.

    python benchmarks/array_cost.py [--route] [--rows R --cols C --depth D --acc W --sum W] [--form tree carry]

Without --route only synthesis runs (counts without what nextpnr adds). The array sits in a shift register fed by one
pin, its counts are folded into one pin, so nothing else fills the chip. lut4_per_mac counts the array's LUT4 sites
(elements, accumulators, drain) over rows * cols * depth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.boards import board as boards
from bnnhw.boards.emit import for_board
from bnnhw.boards.layout import Options, place_and_route
from bnnhw.boards.synthesis import synthesise
from bnnhw.hw.array.array import Array
from bnnhw.spec.engine import EngineConfig, InputConfig, Popcount, PostConfig


def config_of(rows: int, cols: int, depth: int, acc: int, total: int, form: Popcount) -> EngineConfig:
    """An engine of which only the array is used."""
    image = InputConfig(1, 1, 1, 1, 1, 0, 1, 1, 1, 1)
    post = PostConfig(1, 1, 1, 0, 1, 1, (), False, 0, (), 1, 1, (), 1)
    return EngineConfig(
        rows=rows, cols=cols, depth=depth, lanes=1, fetch=1, popcount=form, tau=0, acc_width=acc, sum_width=total,
        input=image, post=post, pool_modes=(), pool_width=0, bit_words=1, value_words=1, weight_words=1, steps=1,
        jobs=1, passes=1, halo_reach=0, classes=1, entries_per_beat=1, kernel=1, map_size=1,
    )  # fmt: skip


class Harness(wiring.Component):
    """The array between one input and one output pin, everything registered."""

    def __init__(self, config: EngineConfig) -> None:
        self.array = Array(config, early=2)
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self.array
        inputs = [
            array.i_act.as_value(), array.i_weights.as_value(), array.i_valid, array.i_shift, array.i_last, array.i_next
        ]  # fmt: skip
        chain = Signal(sum(len(i) for i in inputs), reset_less=True)
        m.d.sync += chain.eq(Cat(self.rx, chain[:-1]))
        m.d.comb += Cat(*inputs).eq(chain)

        outputs = Cat(array.o_counts, array.o_capture, *([array.o_sum] if array.config.sum_width else []))
        held = Signal(len(outputs), reset_less=True)
        m.d.sync += held.eq(outputs)
        while len(held) > 1:
            folded = Signal(-(-len(held) // 8), reset_less=True)
            m.d.sync += [folded[i].eq(held[8 * i : 8 * i + 8].xor()) for i in range(len(folded))]
            held = folded
        m.d.comb += self.tx.eq(held)
        return m


def measure(arguments: argparse.Namespace, rows: int, cols: int, depth: int, form: Popcount) -> str:
    """One line of the table."""
    config = config_of(rows, cols, depth, arguments.acc, arguments.sum, form)
    directory = Path(arguments.directory) / f"{rows}x{cols}x{depth}-{form.value}{arguments.tag}"
    board = boards.get(arguments.board)
    sources = for_board(Harness(config), board, int(arguments.clock * 1e6))
    start = time.monotonic()
    synthesis = synthesise(sources, directory, keep=["top.array"])
    module = synthesis.modules["top.array"]
    lut4, ff, text = module.lut4, module.ff, ""
    seconds = time.monotonic() - start
    if arguments.route:
        options = Options(placer=arguments.placer, router=arguments.router, seed=arguments.seed)
        layout = place_and_route(synthesis.netlist, sources.lpf, board, options, keep=["top.array"])
        lut4 = layout.modules["top.array"]
        text = f"{layout.design_clock.achieved_mhz:7.1f} MHz {layout.seconds:6.0f} s\n{layout.design_clock.path}"
    shape, per_mac = f"{rows}x{cols}x{depth}", lut4 / (rows * cols * depth)
    return f"{shape:>10} {form.value:>6} {lut4:7} LUT4 {per_mac:6.3f}/MAC {ff:7} FF {seconds:5.0f} s {text}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[8])
    parser.add_argument("--cols", type=int, nargs="*", default=[16])
    parser.add_argument("--depth", type=int, nargs="*", default=[48])
    parser.add_argument("--acc", type=int, default=21, help="accumulator bits")
    parser.add_argument("--sum", type=int, default=0, help="activation-sum bits, 0 for none")
    parser.add_argument("--form", nargs="*", default=[f.value for f in Popcount])
    parser.add_argument("--route", action="store_true", help="place and route: counts and clock of the routed design")
    parser.add_argument("--board", default="ulx3s")
    parser.add_argument("--clock", type=float, default=125.0, help="clock to aim for, MHz")
    parser.add_argument("--placer", default="static")
    parser.add_argument("--router", default="router1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", default="build/bench-array")
    parser.add_argument("--tag", default="", help="suffix of the build directory")
    arguments = parser.parse_args()
    for rows in arguments.rows:
        for cols in arguments.cols:
            for depth in arguments.depth:
                for form in arguments.form:
                    print(measure(arguments, rows, cols, depth, Popcount(form)), flush=True)


if __name__ == "__main__":
    main()
