"""Decides what becomes of a request: the status of its reply."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.link.frame_in import FRAME
from bnnhw.spec.link import BODY_BYTES, HEAD_BYTES, Command, Identity, Status


class Judge(wiring.Component):
    """The rules of `bnnhw.spec.link` for when a request is refused, in the order in which they are tried.

    Latency: 3 clocks from ``frame`` and the states to ``status``; all of it stays as it is meanwhile. Adding, comparing
    and deciding take a clock each, so that no path is long.

    Parameters
    ----------
    identity
        Sizes of image and scores.

    Members
    -------
    frame : In(FRAME)
    current, expected, partial, busy : In
        State of `ImageReceiver`.
    full, known, done : In(1)
        State of `ScoreStore`; the last two answer for ``frame.image`` a clock later by themselves.
    status : Out(Status)
    fresh : Out(1)
        With status OK: BEGIN or BLOCK has something to do; 0 for one that came twice.
    """

    frame: Signal
    current: Signal
    expected: Signal
    partial: Signal
    busy: Signal
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
                "busy": In(1),
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
        # First clock: the block's end. Second clock: comparisons.
        right_length, same, nobody = Signal(), Signal(), Signal()
        at_expected, taken, beyond, no_score = Signal(), Signal(), Signal(), Signal()
        end = Signal(33)
        m.d.sync += [
            end.eq(frame.word + (frame.length - HEAD_BYTES)[:8]),
            same.eq(frame.image == self.current),
            nobody.eq(frame.image == 0),
            at_expected.eq(frame.word == self.expected),
            taken.eq(end <= self.expected),
            beyond.eq(end > sizes.image_bytes),
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
                    (~same & (self.busy | (self.full & ~self.partial)), Status.BUSY),
                )
            with m.Case(Command.BLOCK):
                m.d.sync += self.fresh.eq(~taken)
                decide(
                    (~right_length, Status.BAD_LENGTH),
                    (nobody | ~same, Status.UNKNOWN_IMAGE),
                    (beyond, Status.OUT_OF_RANGE),
                    (~taken & ~at_expected, Status.WRONG_OFFSET),
                    (~taken & self.busy, Status.BUSY),
                )
            with m.Case(Command.SCORES):
                decide(
                    (~right_length, Status.BAD_LENGTH),
                    (no_score, Status.OUT_OF_RANGE),
                    (~self.known, Status.UNKNOWN_IMAGE),
                    (same & self.partial, Status.INCOMPLETE),
                    (~self.done, Status.PENDING),
                )
            with m.Default():
                m.d.sync += self.status.eq(Status.BAD_COMMAND)
        with m.If(~frame.good):
            m.d.sync += self.status.eq(Status.CORRUPT)
        return m
