"""Every component of the hardware with a stream output keeps the stream rules, for all inputs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Signal

import bnnhw.hw
from bnnhw.hw.boot import Boot
from bnnhw.hw.fifo import StreamBuffer, StreamFifo, StreamRegister
from bnnhw.hw.link.block import BlockForwarder
from bnnhw.hw.link.commands import CommandHandler
from bnnhw.hw.link.frame_in import FrameReceiver
from bnnhw.hw.link.frame_out import FrameSender
from bnnhw.hw.link.image import ImageReceiver
from bnnhw.hw.link.scores import ScoreStore
from bnnhw.hw.link.sources import ConstantSource, ShiftSource
from bnnhw.hw.link.uart import UartReceiver
from bnnhw.hw.memory.player import SdramPlayer
from bnnhw.hw.memory.rom_stream import RomStream
from bnnhw.hw.scores import Scores
from bnnhw.hw.sdram.arbiter import Arbiter
from bnnhw.hw.sdram.layouts import PortConfig
from bnnhw.hw.sdram.port import ClientPort
from bnnhw.hw.sequencer.prefetch import Prefetcher
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.kit.formal import prove_stream
from bnnhw.spec.external import Region, WeightImage
from bnnhw.spec.link import Identity
from bnnhw.spec.sdram import MT48LC16M16A2_75

IDENTITY = Identity(1, 2, 3, 1, scores=3, score_bits=5, counters=2, clock_hz=1)
SDRAM = replace(MT48LC16M16A2_75, row_bits=1, column_bits=4)
SDRAM_PORT = PortConfig("maps", writes=True, read_words=8, write_words=8)
PASSED_ON = {
    "Engine": "its scores are those of Scores",
    "HostLink": "its bytes are those of FrameSender and StreamBuffer",
    "SdramController": "its words are those of ClientPort",
}


def idle(m, dut):
    """Commands come only while the component is not busy."""
    return [~(dut.start & dut.o.valid)]


def buffer_answers(m, dut):
    """``data`` follows ``address`` one clock later: it stays while the address stays."""
    before, earlier, data, started = Signal(9), Signal(9), Signal(8), Signal(2)
    m.d.sync += [before.eq(dut.address), earlier.eq(before), data.eq(dut.data), started.eq(started << 1 | 1)]
    held = started.all() & (before == earlier)
    return [~held | (dut.data == data), ~(dut.busy & dut.accept), ~dut.accept | (dut.length != 0)]


def no_block_on_its_way(m, dut):
    """Nothing begins while a block is forwarded or an image filled up, and nothing is forwarded meanwhile."""
    return [~((dut.begin | dut.accept) & (dut.i.valid | dut.filling)), ~(dut.filling & dut.i.valid)]


def plays_on(m, dut):
    """Once it may play, it always may."""
    may = Signal()
    m.d.sync += may.eq(dut.i_play)
    return [~may | dut.i_play]


def taken_at_once(m, dut):
    """The loaders have finished, and are ready, when they are asked again."""
    return [~port.valid | port.ready for port in (dut.o_weights, dut.o_params)]


def scores_room(m, dut):
    return [~dut.i_start | dut.o_room]


def read_when_done(m, dut):
    """Images begin, are completed and get their scores in turn; scores are read when they are there, a reply a time."""
    begun, reading, late = Signal(), Signal(), Signal()
    awaited = Signal(4)
    finished = dut.i.valid & dut.i.payload.last
    m.d.sync += [
        begun.eq((begun | dut.begin) & ~dut.completed),  # and not completed
        reading.eq((reading | dut.read) & ~(dut.o.valid & dut.o.ready & dut.o.payload.last)),
        late.eq(dut.begin),
        awaited.eq(awaited + (dut.completed | (dut.begin & dut.abandons)) - finished),
    ]
    return [
        ~dut.completed | begun,
        ~dut.begin | (~reading & ~dut.read & ~dut.completed & (dut.again | ~dut.full)),
        (dut.again | dut.abandons) == begun,
        ~(dut.again & dut.abandons),
        ~dut.i.valid | (awaited != 0),
        ~dut.read | (dut.known & dut.done & ~reading & ~late),
    ]


CASES = {
    "RomStream": (lambda plan: RomStream([1, 2, 3], 4), {}),
    "RomStream of one": (lambda plan: RomStream([1], 1), {}),
    "StreamRegister": (lambda plan: StreamRegister(shape=4), {"induction": 2}),
    "StreamBuffer": (lambda plan: StreamBuffer(shape=4), {"induction": 2}),
    "StreamFifo": (lambda plan: StreamFifo(shape=4, depth=3), {}),
    "Scores": (lambda plan: Scores(replace(plan.engine, lanes=3, scores=5)), {"given": scores_room}),
    "Prefetcher": (
        lambda plan: Prefetcher(plan.engine, plan.images),
        {"given": taken_at_once, "induction": 2},
    ),
    "UartReceiver": (lambda plan: UartReceiver(divisor=8), {"induction": 2, "cycles": 4}),
    "FrameReceiver": (lambda plan: FrameReceiver(), {}),
    "FrameSender": (lambda plan: FrameSender(), {}),
    "CommandHandler": (lambda plan: CommandHandler(identity=IDENTITY), {}),
    "BlockForwarder": (lambda plan: BlockForwarder(), {"given": buffer_answers, "cycles": 16}),
    "ImageReceiver": (lambda plan: ImageReceiver(size=4), {"given": no_block_on_its_way, "cycles": 16}),
    "Boot": (lambda plan: Boot(part=SDRAM, image=WeightImage(bytes(16))), {"cycles": 30}),
    "ShiftSource": (lambda plan: ShiftSource(size=3), {"given": idle, "induction": 2}),
    "ConstantSource": (lambda plan: ConstantSource(b"abc"), {"given": idle, "induction": 2}),
    "Arbiter": (lambda plan: Arbiter(part=SDRAM, ports=3), {"induction": 2}),
    "SdramPlayer": (lambda plan: SdramPlayer(part=SDRAM, region=Region(1, 3, 32)), {"given": plays_on}),
    "ClientPort": (lambda plan: ClientPort(part=SDRAM, config=SDRAM_PORT), {}),
    "ScoreStore": (lambda plan: ScoreStore(identity=IDENTITY), {"given": read_when_done}),
}


@pytest.fixture(scope="module")
def plan():
    """Of a small random network."""
    return prepare(1, 0, random_network(1, 0))[0]


@pytest.mark.parametrize("name", CASES)
def test_stream_rules(name, plan):
    make, options = CASES[name]
    prove_stream(make(plan), **options)


def test_no_component_is_left_out():
    """A class whose ports have a stream output is in the table."""
    found = set()
    for path in Path(bnnhw.hw.__file__).parent.rglob("*.py"):
        for block in re.split(r"^class ", path.read_text(), flags=re.MULTILINE)[1:]:
            if "Out(stream.Signature" in block:
                found.add(re.match(r"\w+", block)[0])
    assert found == {name.split()[0] for name in CASES} | set(PASSED_ON)
