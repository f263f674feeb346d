"""Unpacks the memory images into arrays: what each job descriptor, step, weight beat and parameter beat says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.program import (
    POOL,
    Images,
    decode_layout,
    lane_layout,
    load_layout,
    param_bits,
    step_layout,
)

BitArray = NDArray[np.uint8]
CODEWORD_BITS = 9


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of a pass, in order. shift, weight, part: (steps,); en, dy, dx, offset: (steps, slots)."""

    shift: IntArray
    weight: IntArray
    part: IntArray
    en: IntArray
    dy: IntArray
    dx: IntArray
    offset: IntArray

    @property
    def factor(self) -> IntArray:
        """What each step's count is multiplied with by the doublings of later steps."""
        after: IntArray = np.cumsum(self.shift[::-1])[::-1] - self.shift
        return np.left_shift(1, after)


@dataclass(frozen=True, eq=False)
class PassWords:
    """One pass: its fields, steps, weight bits (words, cols, depth) or None, and parameters.

    lanes: field name -> (subs, lanes). entries: of border classes, (classes, subs, lanes).
    """

    fields: dict[str, int]
    steps: Steps
    weights: BitArray | None
    lanes: dict[str, IntArray]
    entries: IntArray


class BeatReader:
    """Takes beats of ``width`` bits one after the other."""

    def __init__(self, beats: Sequence[int], width: int) -> None:
        size = -(-width // 8)
        raw = np.frombuffer(b"".join(beat.to_bytes(size, "little") for beat in beats), np.uint8)
        self.bits: BitArray = np.unpackbits(raw.reshape(len(beats), size), axis=1, bitorder="little")[:, :width]
        self.beats = beats
        self.at = 0

    def take(self, count: int) -> BitArray:
        """The next beats as bits, (count, width)."""
        assert self.at + count <= len(self.beats), "the beats end before the passes do"
        self.at += count
        return self.bits[self.at - count : self.at]

    def word(self) -> int:
        """The next beat as an integer."""
        self.take(1)
        return self.beats[self.at - 1]


def read_program(c: EngineConfig, images: Images) -> list[list[PassWords]]:
    """The passes of every job of a frame, in order."""
    assert (len(images.jobs), len(images.steps)) == (c.jobs, c.steps)
    weights, params = BeatReader(images.weights, c.beat_bits), BeatReader(images.params, param_bits(c))
    decodes = [decode_layout(c).unpack(word) for word in images.decodes]
    steps = [step_layout(c).unpack(word) for word in images.steps]
    program = []
    for number, (word, load_word) in enumerate(zip(images.jobs, images.loads, strict=True)):
        job, load = job_layout(c).unpack(word), load_layout(c).unpack(load_word)
        assert job["final"] == (number == c.jobs - 1)
        assert load["last_pass"] == job["last_pass"] < c.passes
        own = _steps(c, steps[job["step_first"] : job["step_last"] + 1])
        passes = []
        for n in range(job["last_pass"] + 1):
            bits = None
            if load["weights"]:
                words = load["last_word"] + 1
                bits = _coded(c, weights, decodes, load) if load["codebook"] else _raw(c, weights, words)
            assert (bits is None) == (job["kind"] == POOL and not job["weighted"])
            lanes, entries = _params(c, params, load["last_class"] + 1)
            passes.append(PassWords(pass_fields(c, job, n), own, bits, lanes, entries))
        program.append(passes)
    assert (weights.at, params.at) == (len(images.weights), len(images.params)), "beats are left over"
    return program


def pass_fields(c: EngineConfig, job: Mapping[str, int], n: int) -> dict[str, int]:
    """The fields of pass ``n`` of a job (see ``spec.jobs``)."""
    carry, slot = divmod(job["slot"] + n * job["slot_dpass"], c.slots)
    repeated = {at: n % (job[f"{at}_tile"] + 1) if c.post.tiled else n for at in ("res", "sec")}
    addresses = {
        "base": job["base"] + min(n, job["last_filled"]) // (job["repeat"] + 1) * job["d_pass"],
        "res_base": job["res_base"] + repeated["res"] * (job["groups"] if c.spill is None else job["res_dpass"]),
        "sec_base": job["sec_base"]
        + repeated["sec"] * (job["sec_dpass"] if c.spill is not None and c.spill.second else job["groups"]),
        "gate_base": job["gate_base"] + n * job["groups"],
        "val_base": job["val_base"] + n * (job["groups"] if c.spill is None else job["val_dpass"]),
        "bit_base": job["bit_base"] + n * job["bit_dpass"] + carry,
    }
    widths = {f.name: f.width for f in job_layout(c).fields}
    flags = {
        "residual": int(job["residual"] and n <= job["last_residual"]),
        "second": int(job["second"] and n <= job["last_second"]),
        "bits": int(job["bits"] and n <= job["last_filled"]),
    }
    return {**job, "slot": slot, **flags, **{name: at % (1 << widths[name]) for name, at in addresses.items()}}


def _steps(c: EngineConfig, words: Sequence[dict[str, int]]) -> Steps:
    def slots(name: str, count: int = c.reads) -> IntArray:
        found = np.array([[word[f"{name}{s}"] for s in range(count)] for word in words], np.int64)
        return found.repeat(c.slots // count, axis=1)

    shift, weight, part = (np.array([word[name] for word in words], np.int64) for name in ("shift", "weight", "part"))
    return Steps(shift, weight, part, slots("en", c.enables), slots("dy"), slots("dx"), slots("offset"))


def _raw(c: EngineConfig, beats: BeatReader, words: int) -> BitArray:
    """Weights (words, cols, depth) of a raw pass: column group after column group, all words of each."""
    bits = beats.take(c.cols // c.fetch * words).reshape(c.cols // c.fetch, words, c.fetch, c.depth)
    return bits.transpose(1, 0, 2, 3).reshape(words, c.cols, c.depth)


def _coded(c: EngineConfig, beats: BeatReader, decodes: list[dict[str, int]], load: dict[str, int]) -> BitArray:
    """Weights of a codebook pass: every decode word makes a weight word of the current block of indices."""
    codewords = beats.take(CODEWORD_BITS)[:, : 1 << c.tau]
    result = np.zeros((load["last_word"] + 1, c.cols, c.depth), np.uint8)
    index = np.zeros((c.fetch, c.slots, c.lanes), np.int64)
    for column in range(0, c.cols, c.fetch):
        for word in range(load["last_word"] + 1):
            decode = decodes[load["decode"] + word]
            if decode["load"]:
                planes = beats.take(c.tau).astype(np.int64)
                index = (planes << np.arange(c.tau)[:, None]).sum(axis=0).reshape(c.fetch, c.slots, c.lanes)
            for s in range(c.slots):
                if decode.get(f"en{s}", 1):
                    tap, group = decode[f"tap{s * c.reads // c.slots}"], decode.get(f"group{s}", s)
                    bits = codewords[tap][index[:, group]]
                    result[word, column : column + c.fetch, s * c.lanes : (s + 1) * c.lanes] = bits
    return result


def _params(c: EngineConfig, beats: BeatReader, classes: int) -> tuple[dict[str, IntArray], IntArray]:
    """Lane records, and entries of border classes, of one pass."""
    layout = lane_layout(c)
    records = [layout.unpack(beats.word()) for _ in range(c.cols)]
    lanes = {
        f.name: np.array([record[f.name] for record in records], np.int64).reshape(c.subs, c.lanes)
        for f in layout.fields
    }
    width = c.post.entry_width
    bits = beats.take(classes * c.cols // c.entries_per_beat)[:, : width * c.entries_per_beat].astype(np.int64)
    weight = np.left_shift(1, np.arange(width))
    weight[-1] = -weight[-1]
    entries = (bits.reshape(-1, width) * weight).sum(axis=1)
    return lanes, entries.reshape(classes, c.subs, c.lanes)


__all__ = ["PassWords", "Steps", "pass_fields", "read_program"]
