"""Takes received frames one by one, has them done, and composes the replies."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.frame_in import FRAME
from bnnhw.hw.link.frame_out import BODY
from bnnhw.spec.link import REPLY, Command, Identity, Status

SOURCES = {Command.IDENTIFY: "identity", Command.SCORES: "scores", Command.COUNTERS: "counters"}
"""Commands whose reply ends with data, and the port that brings it."""


class CommandHandler(wiring.Component):
    """Every frame gets exactly one reply; what it is and when a request is refused is `bnnhw.spec.link`.

    Rate: 5 clocks a request, then a clock for each byte of its reply or as long as its data makes it wait. The next
    frame is received meanwhile.

    Parameters
    ----------
    identity
        Sizes of image and scores.

    Members
    -------
    i : In(stream of FRAME), hold : Out(1)
        Requests; ``hold`` as in `FrameReceiver`.
    o : Out(stream of BODY)
        Replies.
    status : In(Status), fresh : In(1)
        From `Judge`, 3 clocks after a frame is there.
    current, expected : In
        From `ImageReceiver`.
    weights_expected, weights_crc : In
        From `WeightReceiver`; the CRC of what was read back.
    begin, accept, accept_weights : Out(1)
        To `ImageReceiver` and `WeightReceiver`, ``begin`` to `ScoreStore` too; details of the frame are on ``i``.
    i_identity, i_scores, i_counters : In(stream of BODY)
    start_identity, start_scores, start_counters : Out(1)
        Data of replies.
    """

    i: stream.Interface
    hold: Signal
    o: stream.Interface
    status: Signal
    fresh: Signal
    current: Signal
    expected: Signal
    weights_expected: Signal
    weights_crc: Signal
    begin: Signal
    accept: Signal
    accept_weights: Signal

    def __init__(self, *, identity: Identity) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(FRAME)),
                "hold": Out(1),
                "o": Out(stream.Signature(BODY)),
                "status": In(Status),
                "fresh": In(1),
                "current": In(32),
                "expected": In(range(identity.image_bytes + 1)),
                "weights_expected": In(range(identity.weight_bytes + 1)),
                "weights_crc": In(32),
                "begin": Out(1),
                "accept": Out(1),
                "accept_weights": Out(1),
                **{f"i_{name}": In(stream.Signature(BODY)) for name in SOURCES.values()},
                **{f"start_{name}": Out(1) for name in SOURCES.values()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head = Signal(8 * (3 + 8))
        left = Signal(range(3 + 8 + 1))
        source = Signal(range(len(SOURCES) + 1))  # 0: no data
        accepted = Signal()
        with m.FSM():
            with m.State("idle"), m.If(self.i.valid):  # the judge adds,
                m.next = "compare"
            with m.State("compare"):  # compares,
                m.next = "decide"
            with m.State("decide"):  # and decides
                m.next = "act"
            with m.State("act"):
                self._act(m, source)
                m.d.sync += accepted.eq(self.accept | self.accept_weights)
                m.next = "compose"
            with m.State("compose"):
                self._compose(m, head, left)
                m.d.comb += [self.i.ready.eq(1), self.hold.eq(accepted)]
                m.next = "head"
            with m.State("head"):
                last = left == 1
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.byte.eq(head[:8]),
                    self.o.payload.last.eq(last & (source == 0)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += [head.eq(head >> 8), left.eq(left - 1)]
                    with m.If(last):
                        m.next = "data"
                        with m.If(source == 0):
                            m.next = "idle"
            with m.State("data"):
                self._forward(m, source)
                with m.If(self.o.valid & self.o.ready & self.o.payload.last):
                    m.next = "idle"
        return m

    def _act(self, m: Module, source: Signal) -> None:
        """What an accepted request sets going."""
        m.d.sync += source.eq(0)
        with m.If(self.status == Status.OK), m.Switch(self.i.payload.command):
            with m.Case(Command.BEGIN):
                m.d.comb += self.begin.eq(self.fresh)
            with m.Case(Command.BLOCK):
                m.d.comb += self.accept.eq(self.fresh)
            with m.Case(Command.LOAD):
                m.d.comb += self.accept_weights.eq(self.fresh)
            for number, (command, name) in enumerate(SOURCES.items(), 1):
                with m.Case(command):
                    m.d.sync += source.eq(number)
                    m.d.comb += getattr(self, f"start_{name}").eq(1)

    def _compose(self, m: Module, head: Signal, left: Signal) -> None:
        """Command, tag, status, and image id and word where the reply has them; counts corrupt frames."""
        frame = self.i.payload
        corrupt = Signal(32)
        image, word = Signal(32), Signal(32)
        m.d.comb += [image.eq(frame.image), word.eq(self.expected)]
        with m.Switch(frame.command):
            with m.Case(Command.SCORES):
                m.d.comb += word.eq(frame.word)
            with m.Case(Command.PING):
                m.d.comb += [image.eq(self.current), word.eq(corrupt)]
            with m.Case(Command.LOAD):
                m.d.comb += word.eq(self.weights_expected)
                with m.If(self.status == Status.MISMATCH):
                    m.d.comb += image.eq(self.weights_crc)
        m.d.sync += [
            head.eq(Cat(Const(REPLY, 8) | frame.command, frame.tag, Const(0, 8) | self.status, image, word)),
            left.eq(3),
        ]
        with m.Switch(frame.command):
            with m.Case(Command.BEGIN, Command.BLOCK, Command.SCORES, Command.PING, Command.LOAD):
                refused = (self.status == Status.BAD_LENGTH) | (self.status == Status.BAD_COMMAND)
                m.d.sync += left.eq(Mux(refused, 3, 11))
        with m.If(~frame.good):
            m.d.sync += [head[:16].eq(REPLY), left.eq(3), corrupt.eq(corrupt + 1)]

    def _forward(self, m: Module, source: Signal) -> None:
        with m.Switch(source):
            for number, name in enumerate(SOURCES.values(), 1):
                port = getattr(self, f"i_{name}")
                with m.Case(number):
                    m.d.comb += [
                        self.o.valid.eq(port.valid),
                        self.o.payload.eq(port.payload),
                        port.ready.eq(self.o.ready),
                    ]
