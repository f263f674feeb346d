"""Every component of the hardware with a stream output keeps the stream rules, for all inputs."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from amaranth.hdl import Mux, Signal

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
from bnnhw.hw.spill.front import FrontStorer
from bnnhw.hw.spill.loader import SpillLoader
from bnnhw.hw.spill.storer import SpillStorer, StoreSizes
from bnnhw.hw.spill.unit import SpillUnit
from bnnhw.sim.fuzz.case import prepare
from bnnhw.sim.fuzz.network import random_network
from bnnhw.sim.kit.formal import prove_stream
from bnnhw.spec.engine import SpillConfig
from bnnhw.spec.external import Region, WeightImage
from bnnhw.spec.front import FrontStore
from bnnhw.spec.link import Identity
from bnnhw.spec.sdram import BURST, MT48LC16M16A2_75, SdramSetup, SdramTiming
from bnnhw.spec.spill import spill_layout

IDENTITY = Identity(1, 2, 3, 1, scores=3, score_bits=5, counters=2, clock_hz=1)
SDRAM = replace(MT48LC16M16A2_75, row_bits=1, column_bits=4)
SDRAM_PORT = PortConfig("maps", writes=True, read_words=8, write_words=8)
STORE = StoreSizes(ring=4, word=20, beats=3, passes=1, rows=1, subs=1, burst=1, bursts=SDRAM.burst_bits)
FRONT = FrontStore(base=0, size=4, groups=2, width=1, height=2, row=1)
PASSED_ON = {
    "Engine": "its scores are those of Scores",
    "HostLink": "its bytes are those of FrameSender and StreamBuffer",
    "SdramController": "its words are those of ClientPort",
}


def spilling(config, pairs=False):
    """``config`` with spilled maps of two pixels, in as small an SDRAM; ``pairs``: some residuals are loaded in turns,
    some repeated."""
    spill = SpillConfig(4, 4, 4, 8, SDRAM.burst_bits, 2, pairs, pairs)
    setup = SdramSetup(SDRAM, SdramTiming.of(SDRAM, 100_000_000))
    small = replace(config, lanes=1, map_size=2, post=replace(config.post, value_width=4))
    return replace(small, spill=spill, external=setup)


def spill_unit(config):
    """With a job that stores a row, and one that loads it."""
    own = spilling(config)
    layout = spill_layout(own)
    store = {"store": 1, "store_base": 1, "store_words": 1, "store_room": 1}
    load = {"load": 1, "load_base": 1, "load_words": 1, "load_room": 1, "need_first": 1}
    none = dict.fromkeys((f.name for f in layout.fields), 0)
    jobs = [layout.pack(none | fields) for fields in (store, load)]
    return SpillUnit(own, SimpleNamespace(spills=jobs, front_store=None))


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


def begun_when_stored(m, dut):
    """A job is begun when all of the one before is stored, and stays."""
    before = Signal.like(dut.i_job)
    m.d.sync += before.eq(dut.i_job)
    return [~dut.i_begin | dut.o_idle, dut.i_begin | (before == dut.i_job)]


def words_asked_for(m, asked, words):
    """Returns how many words that were asked for are still to come, and that only such come."""
    awaited = Signal(8)
    more = Mux(asked.valid & asked.ready, (asked.payload.last + 1) * BURST, 0)
    m.d.sync += awaited.eq(awaited + more - words.valid)
    return awaited, ~words.valid | (awaited != 0)


def begun_when_loaded(m, dut):
    """A job is begun when all rows of the one before are loaded, and stays; rows are let go of that are loaded. A
    second map ends no later than the first."""
    awaited, asked_for = words_asked_for(m, dut.o_request, dut.i_words)
    before, held = Signal.like(dut.i_job), Signal.like(dut.i_release)
    m.d.sync += [before.eq(dut.i_job), held.eq(held + dut.o_loaded - dut.i_release)]
    job, within = dut.i_job, []
    if "second" in job.shape().members:
        within.append(~job.second | (job.load & (job.second_last_pass <= job.load_last_pass)))
    return [
        asked_for,
        ~dut.i_begin | (~dut.o_request.valid & (awaited == 0) & (held == 0)),
        dut.i_begin | (before == dut.i_job),
        dut.i_release <= held,
        dut.i_job.load_room != 0,
        *within,
    ]


def rows_in_turn(m, dut):
    """The row of each job is issued when it is permitted, done after that, and then the next job begins."""
    _, asked_for = words_asked_for(m, dut.o_load, dut.i_loaded)
    awaited, issued = Signal(), Signal()  # a row is to be issued, to be done
    with m.If(dut.i_job):
        m.d.sync += awaited.eq(1)
    with m.Elif(dut.i_row):
        m.d.sync += awaited.eq(0)
    m.d.sync += issued.eq((issued | dut.i_row) & ~dut.i_done)
    return [
        asked_for,
        ~dut.i_row | (awaited & dut.o_permitted),
        ~dut.i_done | issued,
        ~dut.i_job | (~awaited & ~issued),
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
    "SpillStorer": (lambda plan: SpillStorer(SDRAM, STORE), {"given": begun_when_stored, "induction": 2}),
    "FrontStorer": (lambda plan: FrontStorer(spilling(plan.engine), FRONT), {"induction": 2}),
    "SpillLoader": (
        lambda plan: SpillLoader(spilling(plan.engine), 8),
        {"given": begun_when_loaded, "cycles": 20},
    ),
    "SpillLoader of two maps": (
        lambda plan: SpillLoader(spilling(plan.engine, pairs=True), 8),
        {"given": begun_when_loaded, "cycles": 20},
    ),
    "SpillUnit": (lambda plan: spill_unit(plan.engine), {"given": rows_in_turn, "cycles": 24}),
    "SpillUnit o_store": (lambda plan: spill_unit(plan.engine), {"name": "o_store", "induction": 2}),
    "SpillUnit o_stored": (lambda plan: spill_unit(plan.engine), {"name": "o_stored", "induction": 2}),
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
