"""From a small design to a bitstream with the real tools, and the errors on the way."""

import dataclasses
import json
import subprocess
import sys
from fractions import Fraction

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw import boards
from bnnhw.boards import flow, layout, tools
from bnnhw.boards.constants import near_zeros
from bnnhw.boards.emit import alone, for_board
from bnnhw.boards.failures import DesignDoesNotFitError, RoutingError, TimingError
from bnnhw.boards.netlist import rewrite
from bnnhw.boards.synthesis import synthesise
from bnnhw.hw.memory.columns import ColumnMemory
from bnnhw.hw.multiplier import Multiplier

BOARD = boards.get("ulx3s_25f")


class Adders(wiring.Component):
    """Counts: ``width`` bits of adder."""

    def __init__(self, width):
        self.width = width
        super().__init__({"step": In(8), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + self.step)
        return m


class Design(wiring.Component):
    """Serial bits in, the parity of a counter out."""

    def __init__(self, width=24):
        self.width = width
        super().__init__({"rx": In(1), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.adders = adders = Adders(self.width)
        bits = Signal(8)
        m.d.sync += [bits.eq(bits << 1 | self.rx), self.tx.eq(adders.o.xor())]
        m.d.comb += adders.step.eq(bits)
        return m


def test_build(tmp_path):
    stages = []
    result = flow.build(
        Design(),
        BOARD,
        tmp_path,
        100_000_000,
        keep=["top.adders"],
        ready=lambda: stages.append("ready"),
        progress=lambda stage, _: stages.append(stage),
    )
    assert list(result.seconds) == ["emit", "synthesise", "plan", "place_and_route", "pack"]
    assert stages == ["emit", "synthesise", "ready", "plan", "place_and_route", "pack"]
    assert result.path.read_bytes()[:4] == b"\xff\x00Pa"
    assert result.clock_hz == 100_000_000
    assert result.layout.design_clock.constraint_mhz == pytest.approx(100, rel=1e-3)
    assert result.fmax_mhz > 150
    assert "adders.o" in result.layout.design_clock.path
    # 12 carry cells and the one that leads the constant carry in.
    assert result.synthesis.modules["top.adders"].lut4 == 24
    assert result.layout.modules == {"top.adders": 26}
    assert result.layout.resources.ff == result.synthesis.resources.ff == 24 + 8 + 1 + 2 + 2
    assert {"top.v", "top.il", "top.lpf", "yosys.log", "nextpnr.log", "ecppack.log"} <= {
        p.name for p in tmp_path.iterdir()
    }
    assert not list(tmp_path.glob("*part*"))


def test_emit_gives_the_same_bytes_in_every_process():
    code = (
        "from tests.boards.test_flow import BOARD, Design; from bnnhw.boards.emit import for_board;"
        "import hashlib; s = for_board(Design(), BOARD, 100_000_000);"
        "print(hashlib.sha256((s.rtlil + s.lpf).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "HOME": "/"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(digests) == 1


def test_synthesis_alone_counts_cells(tmp_path):
    result = synthesise(alone(Adders(24)), tmp_path)
    assert result.resources == boards.Resources(lut4=24, ff=24, bram=0, dsp=0)
    assert result.cells == {"CCU2C": 12, "TRELLIS_FF": 24}


class Blocks(wiring.Component):
    """The words of a block RAM, times two numbers that come in."""

    def __init__(self):
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = ColumnMemory(18, 1024, writable=True)
        bits = Signal(64)
        m.d.sync += bits.eq(bits << 1 | self.rx)
        m.d.comb += [
            memory.i_enable.eq(1),
            memory.i_address.eq(bits),
            memory.i_write_valid.eq(bits[-1]),
            memory.i_write_address.eq(bits[10:]),
            memory.i_write.eq(bits[20:]),
        ]
        parities = []
        for n in range(2):
            m.submodules[f"product_{n}"] = product = Multiplier(18, 18)
            m.d.comb += [product.a.eq(memory.o), product.b.eq(bits[20 * n :])]
            parities.append(product.o.xor())
        m.d.sync += self.tx.eq(Cat(parities).xor())
        return m


def test_synthesis_counts_block_rams_and_multipliers(tmp_path):
    result = synthesise(for_board(Blocks(), BOARD, 100_000_000), tmp_path)
    assert (result.resources.bram, result.resources.dsp) == (1, 2)
    assert result.cells["DP16KD"] == 1
    assert result.cells["MULT18X18D"] == 2
    few = dataclasses.replace(BOARD, resources=dataclasses.replace(BOARD.resources, dsp=1))
    with pytest.raises(DesignDoesNotFitError) as caught:
        layout.check_fit(result.resources, few)
    assert (caught.value.resource, caught.value.need, caught.value.limit) == ("dsp", 2, 1)


def test_zeros_arrive_in_the_placed_design(tmp_path):
    """Zero pins of placed multipliers hang on a LUT of constant 0, none on the one that serves the whole chip."""
    sources = for_board(Blocks(), BOARD, 100_000_000)
    netlist = synthesise(sources, tmp_path).netlist
    with rewrite(netlist) as design:
        found = [c for c in design["modules"]["top"]["cells"].values() if c["type"] == "MULT18X18D"]
        for cell, bel in zip(found, ("X4/Y13/MULT18_0", "X13/Y13/MULT18_0"), strict=True):
            cell["attributes"]["BEL"] = bel
        assert near_zeros(design) == 2
    placed = json.loads(layout.place_and_route(netlist, sources.lpf, BOARD).placed.read_text())
    cells = placed["modules"]["top"]["cells"]
    drivers = {bit: cell for cell in cells.values() if cell["type"] == "TRELLIS_COMB"
               for bit in cell["connections"].get("F", [])}  # fmt: skip
    pins = [cell["connections"][pin] for cell in cells.values() if cell["type"] == "MULT18X18D"
            for pin in ("RST0", "SOURCEA", "SOURCEB")]  # fmt: skip
    assert len(pins) == 6
    assert len({tuple(pin) for pin in pins}) == 2
    for (bit,) in pins:
        assert int(drivers[bit]["parameters"]["INITVAL"], 2) == 0


def test_design_that_does_not_fit(tmp_path):
    small = dataclasses.replace(BOARD, resources=dataclasses.replace(BOARD.resources, lut4=30, ff=20))
    with pytest.raises(DesignDoesNotFitError) as caught:
        flow.build(Design(), small, tmp_path, 100_000_000)
    assert str(caught.value) == "design must need at most 20 flip-flops on board ulx3s_25f, not 37"
    assert (caught.value.resource, caught.value.need, caught.value.limit) == ("ff", 37, 20)
    assert not (tmp_path / "top.bit").exists()


def test_timing_that_is_not_met(tmp_path):
    (tmp_path / "top.bit").write_bytes(b"of an earlier run")
    with pytest.raises(TimingError) as caught:
        flow.build(Design(64), BOARD, tmp_path, 400_000_000)
    assert str(caught.value) == (
        f"design must reach 400.00 MHz on board ulx3s_25f, not {caught.value.achieved_mhz:.2f} MHz"
    )
    assert not (tmp_path / "top.bit").exists()


LOG = """Info: Device utilisation:
Info: \t         TRELLIS_IO:       3/    365     0%
Info: \t             DP16KD:      57/     56   101%
Info: \t         MULT18X18D:      30/     28   107%
Info: \t         TRELLIS_FF:    3165/  24288    13%
Info: \t       TRELLIS_COMB:    3414/  24288    14%
Info: \t       TRELLIS_RAMW:      10/   3036     0%
ERROR: Unable to place cell 'x', no BELs remaining to implement cell type 'DP16KD'
"""


def failing(monkeypatch, text, error):
    def run(tool, arguments, directory, log, timeout=None, give_up=None):
        (directory / "nextpnr.log").write_text(text)
        raise error

    monkeypatch.setattr(tools, "run", run)


def test_nextpnr_out_of_sites_becomes_does_not_fit(tmp_path, monkeypatch):
    failing(monkeypatch, LOG, tools.ToolError("nextpnr-ecp5 failed"))
    with pytest.raises(DesignDoesNotFitError) as caught:
        layout.place_and_route(tmp_path / "top.json", "", BOARD)
    assert str(caught.value) == "design must need at most 28 18x18 multipliers on board ulx3s_25f, not 30"


def test_nextpnr_without_route_becomes_routing_error(tmp_path, monkeypatch):
    text = "ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.\n"
    failing(monkeypatch, text, tools.ToolError("nextpnr-ecp5 failed"))
    with pytest.raises(RoutingError) as caught:
        layout.place_and_route(tmp_path / "top.json", "", BOARD)
    assert str(caught.value) == (
        "design must be routable on board ulx3s_25f: Unable to find legal placement for all cells, design is probably "
        f"at utilisation limit.; nextpnr's log is {tmp_path / 'nextpnr.log'}"
    )


def test_timeout_becomes_routing_error_and_kills_the_tool(tmp_path):
    (tmp_path / "top.json").write_text(json.dumps({"modules": {}}))
    with pytest.raises(RoutingError) as caught:
        layout.place_and_route(tmp_path / "top.json", "", BOARD, layout.Options(timeout=0.05))
    assert str(caught.value) == (
        "design must be routable on board ulx3s_25f: nextpnr-ecp5 did not end within 0.05 s; "
        f"its log is {tmp_path / 'nextpnr.err'}"
    )


def test_tool_error_quotes_the_tool(tmp_path):
    with pytest.raises(tools.ToolError) as caught:
        tools.run("yosys", ["-q", "-p", "read_rtlil missing.il"], tmp_path, "yosys.err")
    assert str(caught.value) == (
        f"yosys failed: File `missing.il' not found or is a directory; its log is {tmp_path / 'yosys.err'}"
    )


def test_clock_is_what_the_pll_makes():
    assert for_board(Design(), BOARD, 133_000_000).clock_hz == Fraction(400_000_000, 3)
