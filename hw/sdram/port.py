"""One client of the SDRAM: cuts its requests into bursts and lets none start that its FIFOs cannot serve."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.fifo import StreamFifo
from bnnhw.hw.sdram.layouts import WORD, WRITE_WORD, PortConfig, access, request
from bnnhw.spec.sdram import BURST, SdramPart


class ClientPort(wiring.Component):
    """Bursts are offered in the order of the requests: reads while the read FIFO has room for all words of all bursts
    offered, so what comes back never waits; writes when all their words are in the write FIFO.

    Rate: a burst every 3 cycles, so the memory is what limits. Latency: 2 cycles from request to burst; words 3 cycles
    through either FIFO. A request is taken when the one before was offered to its end. Where the client stops, only its
    own bursts stop.

    Members
    -------
    i: requests; a port that only reads or only writes takes no notice of ``write``. o: words read. i_words: words to
    write. Both are in the order of the requests, and there only where the port can read or write.
    o_access: bursts. o_busy: a request is not yet granted to its end.
    i_word, i_word_valid: words from the memory. o_write_word, i_write_taken: those to it; the word that stands there is
    taken in cycles with i_write_taken.
    """

    def __init__(self, *, part: SdramPart, config: PortConfig) -> None:
        self.part, self.config = part, config
        members = {
            "i": In(stream.Signature(request(part))),
            "o_access": Out(stream.Signature(access(part))),
            "o_busy": Out(1),
        }
        if config.reads:
            members |= {"o": Out(stream.Signature(WORD)), "i_word": In(WORD), "i_word_valid": In(1)}
        if config.writes:
            members |= {
                "i_words": In(stream.Signature(WRITE_WORD)),
                "o_write_word": Out(WRITE_WORD),
                "i_write_taken": In(1),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        burst, left = Signal(self.part.burst_bits), Signal(self.part.burst_bits)
        active, write = Signal(), Signal()
        offer, grant = Signal(), Signal()
        served = Signal()
        m.d.comb += [
            self.i.ready.eq(~active),
            self.o_busy.eq(active),
            offer.eq(active & served & ~self.o_access.valid),
            grant.eq(self.o_access.valid & self.o_access.ready),
            self.o_access.payload.as_value()[: len(burst)].eq(burst),
            self.o_access.payload.write.eq(write),
        ]
        with m.If(self.i.valid & self.i.ready):
            asked = self.i.payload
            m.d.sync += [burst.eq(asked.burst), left.eq(asked.last), active.eq(1)]
            m.d.sync += write.eq(asked.write if self.config.reads and self.config.writes else self.config.writes)
        with m.If(offer):
            m.d.sync += self.o_access.valid.eq(1)
        with m.If(grant):
            m.d.sync += [self.o_access.valid.eq(0), burst.eq(burst + 1), left.eq(left - 1), active.eq(left != 0)]

        room = self._reads(m, offer & ~write) if self.config.reads else None
        stored = self._writes(m, offer & write) if self.config.writes else None
        if room is None or stored is None:
            m.d.comb += served.eq(stored if room is None else room)
        else:
            m.d.comb += served.eq(Mux(write, stored, room))
        return m

    def _reads(self, m: Module, offered: Signal) -> Signal:
        """The read FIFO; returns whether it has room for one more burst."""
        m.submodules.read_fifo = fifo = StreamFifo(shape=WORD, depth=self.config.read_words)
        m.d.comb += [fifo.i.payload.eq(self.i_word), fifo.i.valid.eq(self.i_word_valid)]
        connect(m, fifo.o, flipped(self.o))
        return self._bursts(m, "room", self.o.valid & self.o.ready, offered, self.config.read_words // BURST)

    def _writes(self, m: Module, offered: Signal) -> Signal:
        """The write FIFO; returns whether all words of one more burst are in it."""
        m.submodules.write_fifo = fifo = StreamFifo(shape=WRITE_WORD, depth=self.config.write_words)
        connect(m, flipped(self.i_words), fifo.i)
        m.d.comb += [self.o_write_word.eq(fifo.o.payload), fifo.o.ready.eq(self.i_write_taken)]
        limit = self.config.write_words // BURST + 1  # one burst may stand in the FIFO's registers
        return self._bursts(m, "stored", self.i_words.valid & self.i_words.ready, offered, limit, init=0)

    @staticmethod
    def _bursts(m: Module, name: str, word: Signal, offered: Signal, limit: int, init: int | None = None) -> Signal:
        """Counts whole bursts: one more after each 8 ``word``, one less with each ``offered``. High if there is one."""
        count = Signal(range(limit + 1), init=limit if init is None else init, name=f"{name}_bursts")
        words = Signal(range(BURST), name=f"{name}_words")
        more = Signal(name=f"{name}_more")
        m.d.sync += [
            words.eq(words + word),
            more.eq(word & (words == BURST - 1)),
            count.eq(count + more - offered),
        ]
        some = Signal(name=f"{name}_some")
        m.d.comb += some.eq(count != 0)
        return some
