"""Keeps the scores of the last images with their ids and reads them out by the page."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.frame_out import BODY
from bnnhw.spec.link import SLOTS, Identity


def score_layout(width: int) -> data.StructLayout:
    """One score of the engine's output; ``last`` marks the last class."""
    return data.StructLayout({"score": signed(width), "last": 1})


class ScoreStore(wiring.Component):
    """`SLOTS` slots used in turn; an image gets one when it begins and its scores go there when they come.

    Scores come in the order in which images are completed, so the slot they belong to is known without the engine
    carrying ids. A slot given to a new image forgets the old one at once. Scores are taken at every clock.

    Parameters
    ----------
    identity
        Number and width of the scores.

    Members
    -------
    i : In(stream of score_layout)
        From the engine.
    image : In(32)
        The id that ``begin`` and the look-up mean; it stands a clock before ``begin``.
    begin : In(1)
        An image begins: in a new slot (never while ``full``), or with ``again`` 1 in that of the image before it, of
        which nothing was sent.
    again : In(1)
    abandons : In(1)
        ``begin`` abandons the image before it: it keeps its slot until its scores have come, and nobody gets them.
    completed : In(1)
        The image begun last is complete: its scores will come.
    full : Out(1)
        There is no slot for a new image: the scores of all are awaited.
    known, done : Out(1)
        ``image`` has a slot; its scores are there. 2 clocks after ``image``.
    read : In(1), first : In
        Start reading the scores of ``image`` (``done``) from number ``first`` on. Only while ``o`` is idle.
    o : Out(stream of BODY)
        At most a page of scores, two's complement, low byte first; 3 clocks a byte.
    """

    i: stream.Interface
    image: Signal
    begin: Signal
    again: Signal
    abandons: Signal
    completed: Signal
    full: Signal
    known: Signal
    done: Signal
    read: Signal
    first: Signal
    o: stream.Interface

    def __init__(self, *, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "i": In(stream.Signature(score_layout(identity.score_bits), always_ready=True)),
                "image": In(32),
                "begin": In(1),
                "again": In(1),
                "abandons": In(1),
                "completed": In(1),
                "full": Out(1),
                "known": Out(1),
                "done": Out(1),
                "read": In(1),
                "first": In(range(identity.scores)),
                "o": Out(stream.Signature(BODY)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index_bits = max(1, (self.identity.scores - 1).bit_length())
        m.submodules.memory = memory = Memory(shape=self.identity.score_bits, depth=SLOTS << index_bits, init=[])
        hit = self._slots(m, memory.write_port(), index_bits)
        self._reader(m, memory.read_port(), hit, index_bits)
        return m

    def _slots(self, m: Module, write: Any, index_bits: int) -> Signal:
        """Ids and states; returns the number of the slot that holds ``image``, in time with ``known``."""
        ids = [Signal(32, name=f"id_{slot}") for slot in range(SLOTS)]
        done = Signal(SLOTS)
        newest = Signal(range(SLOTS), init=SLOTS - 1)  # slot of the image begun last
        oldest = Signal(range(SLOTS))  # slot whose scores come next
        awaited = Signal(range(SLOTS + 1))
        place = Signal(index_bits)
        hit = Signal(range(SLOTS))
        equal = Signal(SLOTS)
        finished, slot = Signal(), Signal(range(SLOTS))
        m.d.sync += equal.eq(Cat(i == self.image for i in ids))
        m.d.comb += [
            self.full.eq(awaited + self.abandons >= SLOTS),
            finished.eq(self.i.valid & self.i.payload.last),
            write.en.eq(self.i.valid),
            write.addr.eq(Cat(place, oldest)),
            write.data.eq(self.i.payload.score),
            slot.eq(newest + ~self.again),
        ]
        m.d.sync += [
            self.known.eq(equal.any() & (self.image != 0)),
            self.done.eq((equal & done).any()),
            awaited.eq(awaited + (self.completed | (self.begin & self.abandons)) - finished),
        ]
        for number in range(SLOTS):
            with m.If(equal[number]):
                m.d.sync += hit.eq(number)
        with m.If(self.i.valid):
            m.d.sync += place.eq(Mux(self.i.payload.last, 0, place + 1))
        with m.If(finished):
            m.d.sync += [done.bit_select(oldest, 1).eq(1), oldest.eq(oldest + 1)]
        with m.If(self.begin):
            # An id that comes again in another slot would make the look-up ambiguous: its old slot forgets it.
            for number in range(SLOTS):
                with m.If(equal[number] | (self.abandons & (newest == number))):
                    m.d.sync += ids[number].eq(0)
            m.d.sync += [newest.eq(slot), Array(ids)[slot].eq(self.image), done.bit_select(slot, 1).eq(0)]
        return hit

    def _reader(self, m: Module, read: Any, hit: Signal, index_bits: int) -> None:
        bytes_each = self.identity.score_bytes
        index, slot = Signal(index_bits), Signal(range(SLOTS))
        left = Signal(range(self.identity.page))
        byte = Signal(range(bytes_each))
        score = Signal(signed(8 * bytes_each))
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Cat(index, slot)),
            self.o.payload.byte.eq(score.word_select(byte, 8)),
            self.o.payload.last.eq((byte == bytes_each - 1) & ((left == 0) | (index == self.identity.scores - 1))),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [index.eq(self.first), slot.eq(hit), left.eq(self.identity.page - 1), byte.eq(0)]
                with m.If(self.read):
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "load"
            with m.State("load"):  # into a register: a block RAM's output alone takes most of a clock
                m.d.sync += score.eq(read.data.as_signed())
                m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += byte.eq(byte + 1)
                    with m.If(byte == bytes_each - 1):
                        m.d.sync += [byte.eq(0), index.eq(index + 1), left.eq(left - 1)]
                    m.next = "fetch"
                    with m.If(self.o.payload.last):
                        m.next = "idle"
