"""What sub-bit weights cost and save on this hardware: one ResNet-18 with tau 9, 6, 5, 4, beside the paper's figures.

python benchmarks/tau.py [--shape 8x16x64x8x1x16] [--clock 100]

Cycles are those of the cost model, which simulations reproduce exactly. Bit-OPs: SNN's way of counting, which shares
the products of a window among output channels where that is less than computing them densely.
"""

from __future__ import annotations

import argparse
from fractions import Fraction

from bnnhw import boards, models
from bnnhw.compiler.lower import lower
from bnnhw.compiler.plan import Shape
from bnnhw.compiler.plan.build import analyse, make_plan
from bnnhw.spec.external import ExternalLayout

NAMES = {9: "bnn_r18", 6: "snn_r18_t6", 5: "snn_r18", 4: "snn_r18_t4"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="8x16x64x8x1x16", help="rows x cols x depth x lanes x fetch x front")
    parser.add_argument("--clock", type=Fraction, default=Fraction(100), help="MHz")
    arguments = parser.parse_args()
    shape = Shape.parse(arguments.shape)
    setup = boards.get("ulx3s").sdram_setup(arguments.clock * 10**6)
    print(f"{'tau':>3} {'cycles':>10} {'frames/s':>9} {'waits for memory':>17} {'SDRAM bytes':>12} {'weights':>9} "
          f"{'parameters':>10} {'Bit-OPs':>8}")  # fmt: skip
    for tau, name in NAMES.items():
        graph = models.load(name)
        network = lower(graph)
        found = make_plan(analyse(network), shape, external=setup)
        layout, causes = ExternalLayout.of(found.engine, found.images), found.cost.causes()
        weights, params = 2 * layout.weights.words, 2 * layout.params.words
        waits = causes["weights"] + causes["params"]
        rate = float(arguments.clock) * 1e6 / found.cost.frame
        print(
            f"{tau:3} {found.cost.frame:10,} {rate:9.1f} {waits:17,} {weights + params:12,} {weights:9,} "
            f"{params:10,} {models.info(graph).cost.bit_ops / 1e9:7.3f}G"
        )


if __name__ == "__main__":
    main()
