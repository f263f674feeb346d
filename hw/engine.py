"""The engine: memories, sequencer, array, pool reader and post-processor of one network, put together."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from bnnhw.hw.array.array import Array
from bnnhw.hw.counters import Counters
from bnnhw.hw.fifo import StreamRegister
from bnnhw.hw.front.front import Front
from bnnhw.hw.input.windows import InputWindows
from bnnhw.hw.memory.activation import ActivationMemory
from bnnhw.hw.memory.rom_stream import RomStream
from bnnhw.hw.memory.value import ValueMemory
from bnnhw.hw.memory.writes import writes
from bnnhw.hw.pool.reader import PoolReader
from bnnhw.hw.post.processor import PostProcessor
from bnnhw.hw.scores import Scores
from bnnhw.hw.sequencer.fetch import Fetch
from bnnhw.hw.sequencer.issue import Issue
from bnnhw.hw.sequencer.prefetch import Prefetcher
from bnnhw.hw.spill.maps import FRONT_RING, SpilledMaps, spill_members
from bnnhw.hw.weights.buffer import WeightBuffer
from bnnhw.hw.weights.loader import WeightLoader
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.program import Images, param_bits
from bnnhw.spec.timing import EARLY


class Engine(wiring.Component):
    """Images in, scores out; runs the program in ``images`` once for every image.

    Rate: an image every ``counters[0]`` cycles while the next one is at hand; receiving an image and gathering its
    windows overlap with computing the one before.

    Members
    -------
    i_image: image bytes in (y, x, channel) order; images come whole.
    i_weights, i_params: beats in the order of use, once a frame, where the engine has no memories for them; o_start: a
    frame starts.
    o_load, i_load_words; o_store, o_store_words, i_store_busy; o_front, o_front_words, i_front_busy: of ports of the
    SDRAM controller, for rows of spilled maps that are loaded, stored by the lanes, and stored by the front unit, where
    there are any.
    o_scores: scores in class order with the frame's end marked.
    counters: cycles of the last finished frame, as ``spec.engine.COUNTERS`` names them.
    """

    def __init__(self, config: EngineConfig, images: Images) -> None:
        self.config, self.images = config, images
        score = data.StructLayout({"score": signed(config.post.value_width), "last": 1})
        members = {
            "i_image": In(stream.Signature(8)),
            "o_scores": Out(stream.Signature(score)),
            "counters": Out(data.ArrayLayout(32, len(config.counters))),
        }
        if config.external is not None:
            members["o_start"] = Out(1)
            members["i_weights"] = In(stream.Signature(config.beat_bits))
            members["i_params"] = In(stream.Signature(param_bits(config)))
        if config.spill is not None:
            members |= spill_members(config, images)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, images = self.config, self.images
        m.submodules.issue = issue = Issue(c, images)
        m.submodules.fetch = fetch = Fetch(c, images)
        m.submodules.array = array = Array(c, early=EARLY)
        m.submodules.post = post = PostProcessor(c, images)
        m.submodules.scores = scores = Scores(c)
        m.submodules.activations = activations = ActivationMemory(c)
        m.submodules.values = values = ValueMemory(c)
        self._weights(m, issue, fetch, post)

        # As array.o_capture, which seen from outside a separately synthesised array could depend on i_next, but a cycle
        # earlier: the post-processor gets array's and pool reader's from one register.
        captures = Signal(array.latency - 1)
        captured = captures[-1]
        m.d.sync += captures.eq(Cat(fetch.o_last, captures[:-1]))

        m.submodules.score = score = StreamRegister(shape=self.o_scores.payload.shape())
        wiring.connect(m, scores.o_scores, score.i)
        wiring.connect(m, score.o, wiring.flipped(self.o_scores))
        m.d.sync += scores.i_start.eq(issue.o_start)
        m.d.comb += [
            fetch.i_valid.eq(issue.o_valid),
            fetch.i_step.eq(issue.o_step),
            fetch.i_pass.eq(issue.o_pass),
            # memories
            activations.i_address.eq(fetch.o_address),
            fetch.i_bits.eq(activations.o_bits),
            values.i_address.eq(Mux(fetch.o_pool_read, fetch.o_value_address, post.o_residual_address)),
            fetch.i_value.eq(values.o_word),
            post.i_residual.eq(values.o_word),
            # array
            array.i_act.eq(fetch.o_act),
            array.i_weights.eq(fetch.o_weights),
            array.i_valid.eq(fetch.o_valid),
            array.i_shift.eq(fetch.o_shift),
            array.i_last.eq(fetch.o_last),
            post.i_counts.eq(array.o_counts),
            array.i_next.eq(post.o_next),
            # scores
            scores.i_valid.eq(post.o_score_valid),
            scores.i_scores.eq(post.o_scores),
        ]
        if c.sum_width:
            m.d.comb += post.i_sum.eq(array.o_sum)
        if c.pool_modes:
            m.submodules.pool = pool = PoolReader(c)
            m.d.comb += [
                pool.i_valid.eq(fetch.o_pool_valid),
                pool.i_first.eq(fetch.o_pool_first),
                pool.i_last.eq(fetch.o_pool_last),
                pool.i_ok.eq(fetch.o_pool_ok),
                pool.i_max.eq(fetch.o_pool_max),
                pool.i_part.eq(fetch.o_pool_part),
                pool.i_weights.eq(fetch.o_weights.as_value()),
                pool.i_value.eq(fetch.o_value),
                post.i_values.eq(pool.o_values),
            ]
            captured |= pool.o_captures
        m.d.sync += post.i_capture.eq(captured)
        if c.front is None:
            self._windows(m, issue, fetch, scores)
            front = None
        else:
            front = self._front(m, issue, scores)
        self._store(m, post, front, activations, values)
        if c.spill is not None:
            self._spill(m, issue, fetch, post, values, front)
        m.submodules.count = counters = Counters(len(issue.o_cause))
        m.d.comb += [
            counters.i_cause.eq(issue.o_cause),
            counters.i_over.eq(issue.o_over),
            self.counters.eq(counters.counters),
        ]
        return m

    def _windows(self, m: Module, issue: Issue, fetch: Fetch, scores: Scores) -> None:
        """The image as windows for the array. Frames are long: what begins and ends them may take a cycle more."""
        m.submodules.windows = windows = InputWindows(self.config)
        wiring.connect(m, wiring.flipped(self.i_image), windows.i_image)
        m.d.sync += [
            issue.i_run.eq(windows.o_ready & scores.o_room),
            windows.i_start.eq(issue.o_start),
            windows.i_done.eq(issue.o_done),
        ]
        m.d.comb += [
            windows.i_address.eq(fetch.o_input_address),
            fetch.i_input.eq(windows.o_windows),
        ]

    def _front(self, m: Module, issue: Issue, scores: Scores) -> Front:
        """The unit that makes the first map of the next frame."""
        assert self.images.front is not None
        m.submodules.front = front = Front(self.config, self.images.front)
        wiring.connect(m, wiring.flipped(self.i_image), front.i_image)
        complete, room = Signal(), Signal()
        limit = Signal.like(front.i_limit, init=front.config.pool_height)
        m.d.sync += [front.i_start.eq(issue.o_start), room.eq(scores.o_room)]
        with m.If(front.o_done):
            m.d.sync += complete.eq(1)
        with m.Elif(issue.o_start):
            m.d.sync += complete.eq(0)
        with m.If(issue.o_start):
            m.d.sync += limit.eq(0)
        with m.Elif(issue.o_done):
            m.d.sync += limit.eq(front.config.pool_height)
        with m.Elif(issue.o_take):
            m.d.sync += limit.eq(issue.o_front_rows)
        m.d.comb += [
            front.i_limit.eq(limit),
            issue.i_run.eq(complete & room),
            issue.i_front.eq(~complete & ~front.o_waits),
        ]
        return front

    def _store(
        self,
        m: Module,
        post: PostProcessor,
        front: Front | None,
        activations: ActivationMemory,
        values: ValueMemory,
    ) -> None:
        """Writes of the post-processor; the front unit's in cycles without any."""
        own, store = post.o_writes, Signal(writes(self.config))
        m.d.comb += store.eq(own)
        if front is not None:
            value, bits, go = post.o_free
            m.d.comb += front.i_go.eq(go)
            for free, kind in ((value, "value"), (bits, "bits")):
                with m.If(free):
                    m.d.comb += [store[n].eq(front.o_writes[n]) for n in store.shape().members if n.startswith(kind)]
        m.d.comb += [
            values.i_write_valid.eq(store.value_valid & ~store.value_ring if self.config.spill else store.value_valid),
            values.i_write_address.eq(store.value_address),
            values.i_write_word.eq(store.value_word),
            activations.i_write_valid.eq(store.bits_valid),
            activations.i_write.eq(store.bits),
        ]

    def _spill(
        self, m: Module, issue: Issue, fetch: Fetch, post: PostProcessor, values: ValueMemory, front: Front | None
    ) -> None:
        """Maps in the SDRAM."""
        m.submodules.spill = spill = SpilledMaps(self.config, self.images)
        for name, member in spill_members(self.config, self.images).items():
            if member.is_signature:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(spill, name))
            else:
                m.d.comb += getattr(spill, name).eq(getattr(self, name))
        m.d.comb += [
            spill.i_start.eq(issue.o_start),
            spill.i_job.eq(issue.o_job),
            spill.i_row.eq(issue.o_row),
            issue.i_permitted.eq(spill.o_permitted),
            spill.i_done.eq(post.o_row),
            spill.i_writes.eq(post.o_writes),
            values.i_ring.eq(Mux(fetch.o_pool_read, fetch.o_value_ring, post.o_residual_ring)),
            values.i_load_valid.eq(spill.o_valid),
            values.i_load_address.eq(spill.o_address),
            values.i_load_word.eq(spill.o_word),
        ]
        if self.images.front_store is not None:
            assert front is not None
            m.d.comb += [getattr(spill, f"i_front_{name}").eq(getattr(front, f"o_{name}")) for name in FRONT_RING]
            m.d.comb += [front.i_stored.eq(spill.o_front_stored), front.i_settled.eq(spill.o_front_settled)]

    def _weights(self, m: Module, issue: Issue, fetch: Fetch, post: PostProcessor) -> None:
        """Weights and parameters: streams in the order of use."""
        c, images = self.config, self.images
        m.submodules.prefetch = prefetch = Prefetcher(c, images)
        m.submodules.loader = loader = WeightLoader(c, images.decodes)
        m.submodules.buffer = buffer = WeightBuffer(c)
        if c.external is not None:
            m.d.comb += self.o_start.eq(issue.o_start)
            wiring.connect(m, wiring.flipped(self.i_weights), loader.i_beat)
            wiring.connect(m, wiring.flipped(self.i_params), post.i_beat)
        else:
            m.submodules.weight_rom = weight_rom = RomStream(images.weights, c.beat_bits)
            m.submodules.param_rom = param_rom = RomStream(images.params, param_bits(c))
            wiring.connect(m, weight_rom.o, loader.i_beat)
            wiring.connect(m, param_rom.o, post.i_beat)
        wiring.connect(m, prefetch.o_weights, loader.i_load)
        wiring.connect(m, prefetch.o_params, post.i_load)
        m.d.comb += [
            prefetch.i_weights_loaded.eq(loader.o_done),
            prefetch.i_params_loaded.eq(post.o_loaded),
            prefetch.i_take.eq(issue.o_take),
            prefetch.i_retired.eq(post.o_retired),
            issue.i_weights.eq(prefetch.o_weights_ready),
            issue.i_params.eq(prefetch.o_params_ready),
            issue.i_drained.eq(prefetch.o_drained),
            buffer.i_enable.eq(loader.o_enable),
            buffer.i_write.eq(loader.o_address),
            buffer.i_data.eq(loader.o_data),
            buffer.i_read.eq(fetch.o_weight_address),
            fetch.i_weights.eq(buffer.o_read),
        ]
