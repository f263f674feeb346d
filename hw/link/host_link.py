"""The device's end of the host link: bytes on one side, images, scores and counters on the other."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from bnnhw.hw.fifo import StreamBuffer, StreamFifo
from bnnhw.hw.link.block import BlockForwarder
from bnnhw.hw.link.commands import CommandHandler
from bnnhw.hw.link.frame_in import FrameReceiver
from bnnhw.hw.link.frame_out import BODY, FrameSender
from bnnhw.hw.link.image import ImageReceiver
from bnnhw.hw.link.judge import Judge
from bnnhw.hw.link.scores import ScoreStore, score_layout
from bnnhw.hw.link.sources import ConstantSource, ShiftSource
from bnnhw.hw.link.weights import LOADING, WeightReceiver
from bnnhw.spec.link import DATA_BYTES, HEAD_BYTES, Identity


class HostLink(wiring.Component):
    """Speaks `bnnhw.spec.link` over any pair of byte streams and feeds an engine.

    Rate: a byte a clock in, a byte every 3 clocks out. Image bytes wait for the engine in the link's buffer; commands
    are answered meanwhile. Scores are always taken.

    Parameters
    ----------
    identity
        What the device is; the sizes in it shape the hardware. At most 59 counters, so that they go into one reply.

    Members
    -------
    i : In(stream of 8 bits), o : Out(stream of 8 bits)
        Host side.
    o_image : Out(stream of 8 bits)
        Image bytes to the engine, whole images only.
    o_weights : Out(stream of 8 bits), weights : In(LOADING)
        The weight image, and what became of it; only where there is one.
    i_scores : In(stream of score_layout)
        Scores from the engine, one image after the other in the order they were completed.
    counters : In(array of 32 bits)
        The engine's counters.
    """

    i: stream.Interface
    o: stream.Interface
    o_image: stream.Interface
    i_scores: stream.Interface
    counters: Signal

    def __init__(self, *, identity: Identity) -> None:
        assert 1 <= identity.counters <= DATA_BYTES // 4, "the counters go into one reply"
        self.identity = identity
        weights = {"o_weights": Out(stream.Signature(8)), "weights": In(LOADING)} if identity.weight_bytes else {}
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "o_image": Out(stream.Signature(8)),
                "i_scores": In(stream.Signature(score_layout(identity.score_bits))),
                "counters": In(data.ArrayLayout(32, identity.counters)),
                **weights,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        m.submodules.judge = judge = Judge(identity=self.identity)
        m.submodules.handler = handler = CommandHandler(identity=self.identity)
        m.submodules.block = block = BlockForwarder()
        m.submodules.image = image = ImageReceiver(size=self.identity.image_bytes)
        m.submodules.scores = scores = ScoreStore(identity=self.identity)
        m.submodules.constants = constants = ConstantSource(self.identity.pack())
        m.submodules.counts = counts = ShiftSource(size=4 * self.identity.counters)
        connect(m, flipped(self.i), receiver.i)
        connect(m, receiver.o, handler.i)
        m.submodules.reply = reply = StreamFifo(shape=BODY, depth=2)  # the sources do not see the sender's ready
        connect(m, handler.o, reply.i)
        connect(m, reply.o, sender.i)
        connect(m, sender.o, flipped(self.o))
        m.submodules.image_out = image_out = StreamBuffer(shape=8)  # the engine's end of it may lie far away
        connect(m, image.o, image_out.i)
        connect(m, image_out.o, flipped(self.o_image))
        connect(m, constants.o, handler.i_identity)
        connect(m, scores.o, handler.i_scores)
        connect(m, counts.o, handler.i_counters)
        frame = receiver.o.payload
        m.d.comb += [
            receiver.hold.eq(handler.hold),
            receiver.address.eq(block.address),
            block.data.eq(receiver.data),
            block.accept.eq(handler.accept | handler.accept_weights),
            block.length.eq(frame.length - HEAD_BYTES),
            block.bank.eq(frame.bank),
            image.image.eq(frame.image),
            image.length.eq(block.length),
            image.begin.eq(handler.begin),
            image.accept.eq(handler.accept),
            scores.i.valid.eq(self.i_scores.valid),
            scores.i.payload.eq(self.i_scores.payload),
            self.i_scores.ready.eq(1),
            scores.image.eq(frame.image),
            scores.begin.eq(handler.begin),
            scores.again.eq(judge.again),
            scores.abandons.eq(image.abandons),
            scores.completed.eq(image.completed),
            scores.first.eq(frame.word),
            scores.read.eq(handler.start_scores),
            counts.value.eq(self.counters.as_value()),
            counts.start.eq(handler.start_counters),
            constants.start.eq(handler.start_identity),
            handler.current.eq(image.current),
            handler.expected.eq(image.expected),
            handler.status.eq(judge.status),
            handler.fresh.eq(judge.fresh),
            judge.frame.eq(frame),
            judge.current.eq(image.current),
            judge.expected.eq(image.expected),
            judge.partial.eq(image.partial),
            judge.again.eq(image.partial & ~image.abandons),
            judge.busy.eq(block.busy | image.filling),
            judge.full.eq(scores.full),
            judge.known.eq(scores.known),
            judge.done.eq(scores.done),
        ]
        if self.identity.weight_bytes:
            self._weights(m, block, image, handler, judge)
        else:
            connect(m, block.o, image.i)
            m.d.comb += judge.loaded.eq(1)
        return m

    def _weights(
        self, m: Module, block: BlockForwarder, image: ImageReceiver, handler: CommandHandler, judge: Judge
    ) -> None:
        """Before the weights are loaded, all blocks are theirs; no image begins until then."""
        m.submodules.weights_out = weights_out = StreamBuffer(shape=8)
        m.submodules.weights = weights = WeightReceiver(size=self.identity.weight_bytes)
        loaded = self.weights.loaded
        m.d.comb += [
            weights.accept.eq(handler.accept_weights),
            weights.length.eq(block.length),
            weights.state.eq(self.weights),
            handler.weights_expected.eq(weights.expected),
            handler.weights_crc.eq(self.weights.crc),
            judge.weights_expected.eq(weights.expected),
            judge.weights_complete.eq(weights.complete),
            judge.failed.eq(weights.failed),
            judge.loaded.eq(loaded),
            image.i.valid.eq(block.o.valid & loaded),
            image.i.payload.eq(block.o.payload),
            weights_out.i.valid.eq(block.o.valid & ~loaded),
            weights_out.i.payload.eq(block.o.payload),
            block.o.ready.eq(Mux(loaded, image.i.ready, weights_out.i.ready)),
        ]
        connect(m, weights_out.o, flipped(self.o_weights))
