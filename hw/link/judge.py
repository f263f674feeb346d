"""Decides what becomes of a request: the status of its reply."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.frame_in import FRAME
from bnnhw.spec.link import BODY_BYTES, HEAD_BYTES, WEIGHT_BYTES, Command, Identity, Status


class Judge(wiring.Component):
    """The rules of `bnnhw.spec.link` for when a request is refused, in the order in which they are tried.

    Latency: 3 clocks from ``frame`` and the states to ``status``; all of it stays as it is meanwhile. Adding, comparing
    and deciding take a clock each, so that no path is long.

    Parameters
    ----------
    identity
        Sizes of image, scores and weights.

    Members
    -------
    frame : In(FRAME)
    current, expected, partial, again : In
        State of `ImageReceiver`; ``again`` as in `ScoreStore`.
    busy : In(1)
        A block is on its way, or an image being filled up.
    weights_expected, weights_complete, failed, loaded : In
        State of `WeightReceiver`; ``loaded`` 1 where there is none.
    full, known, done : In(1)
        State of `ScoreStore`; the last two answer for ``frame.image`` two clocks later by themselves.
    status : Out(Status)
    fresh : Out(1)
        With status OK: BEGIN or BLOCK has something to do; 0 for one that came twice.
    """

    frame: Signal
    current: Signal
    expected: Signal
    partial: Signal
    again: Signal
    busy: Signal
    weights_expected: Signal
    weights_complete: Signal
    failed: Signal
    loaded: Signal
    full: Signal
    known: Signal
    done: Signal
    status: Signal
    fresh: Signal

    def __init__(self, *, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "frame": In(FRAME),
                "current": In(32),
                "expected": In(range(identity.image_bytes + 1)),
                "partial": In(1),
                "again": In(1),
                "busy": In(1),
                "weights_expected": In(range(identity.weight_bytes + 1)),
                "weights_complete": In(1),
                "failed": In(1),
                "loaded": In(1),
                "full": In(1),
                "known": In(1),
                "done": In(1),
                "status": Out(Status),
                "fresh": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        frame, sizes = self.frame, self.identity
        # First clock: the block's end, and what it is compared with. Second clock: comparisons.
        right_length, same, nobody = Signal(), Signal(), Signal()
        at_expected, taken, beyond, no_score = Signal(), Signal(), Signal(), Signal()
        end, expected, size = Signal(33), Signal(32), Signal(32)
        length = Signal(8)
        busy, full = Signal(), Signal()
        m.d.comb += length.eq(frame.length - HEAD_BYTES)
        m.d.sync += [expected.eq(self.expected), size.eq(sizes.image_bytes), busy.eq(self.busy), full.eq(self.full)]
        if sizes.weight_bytes:
            with m.If(frame.command == Command.LOAD):
                m.d.sync += [expected.eq(self.weights_expected), size.eq(sizes.weight_bytes)]
        m.d.sync += [
            end.eq(frame.word + length),
            same.eq(frame.image == self.current),
            nobody.eq(frame.image == 0),
            at_expected.eq(frame.word == expected),
            taken.eq(end <= expected),
            beyond.eq(end > size),
            no_score.eq(frame.word >= sizes.scores),
            right_length.eq(0),
        ]
        with m.Switch(frame.command):
            for command, (fewest, most) in BODY_BYTES.items():
                with m.Case(command):
                    m.d.sync += right_length.eq((frame.length >= fewest) & (frame.length <= most))

        # Third clock: the rules; the first that holds wins.
        def decide(*rules: tuple[object, Status]) -> None:
            """Status of the first rule whose condition holds, else OK."""
            m.d.sync += self.status.eq(Status.OK)
            for condition, status in reversed(rules):
                with m.If(condition):
                    m.d.sync += self.status.eq(status)

        m.d.sync += self.fresh.eq(0)
        with m.Switch(frame.command):
            with m.Case(Command.IDENTIFY, Command.COUNTERS, Command.PING):
                decide((~right_length, Status.BAD_LENGTH))
            with m.Case(Command.BEGIN):
                m.d.sync += self.fresh.eq(~same)
                decide(
                    (~right_length, Status.BAD_LENGTH),
                    (nobody, Status.OUT_OF_RANGE),
                    (~self.loaded, Status.NOT_LOADED),
                    (~same & (busy | (full & ~self.again)), Status.BUSY),
                )
            with m.Case(Command.BLOCK):
                m.d.sync += self.fresh.eq(~taken)
                decide(
                    (~right_length, Status.BAD_LENGTH),
                    (nobody | ~same, Status.UNKNOWN_IMAGE),
                    (beyond, Status.OUT_OF_RANGE),
                    (~taken & ~at_expected, Status.WRONG_OFFSET),
                    (~taken & busy, Status.BUSY),
                )
            with m.Case(Command.SCORES):
                decide(
                    (~right_length, Status.BAD_LENGTH),
                    (no_score, Status.OUT_OF_RANGE),
                    (~self.known, Status.UNKNOWN_IMAGE),
                    (same & self.partial, Status.INCOMPLETE),
                    (~self.done, Status.PENDING),
                )
            if sizes.weight_bytes:
                with m.Case(Command.LOAD):
                    self._load(m, decide, length, right_length, taken, at_expected, beyond, busy)
            with m.Default():
                m.d.sync += self.status.eq(Status.BAD_COMMAND)
        with m.If(~frame.good):
            m.d.sync += self.status.eq(Status.CORRUPT)
        return m

    def _load(
        self,
        m: Module,
        decide: Callable[..., None],
        length: Signal,
        right_length: Signal,
        taken: Signal,
        at_expected: Signal,
        beyond: Signal,
        busy: Signal,
    ) -> None:
        """Rules for a part of the weight image."""
        wanted, whole, empty = Signal(), Signal(), Signal()
        m.d.sync += [
            wanted.eq(self.frame.image == self.identity.weight_crc),
            whole.eq(length % WEIGHT_BYTES == 0),
            empty.eq(length == 0),
            self.fresh.eq(~taken),
        ]
        decide(
            (~right_length | ~whole, Status.BAD_LENGTH),
            (~wanted, Status.UNKNOWN_IMAGE),
            (self.failed & (~at_expected | empty), Status.MISMATCH),
            (beyond, Status.OUT_OF_RANGE),
            (~taken & ~at_expected, Status.WRONG_OFFSET),
            (~taken & busy, Status.BUSY),
            (self.weights_complete & ~self.loaded, Status.PENDING),
        )
