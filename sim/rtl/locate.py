"""Finds the first tensor that the circuit gets wrong: its memories, cycle by cycle, against the golden model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.plan import Plan
from bnnhw.compiler.plan.places import ValuePlace
from bnnhw.sim import golden
from bnnhw.sim.machine.model import Mismatch, tensor_of
from bnnhw.sim.machine.state import State, input_windows
from bnnhw.sim.rtl.runner import Simulation
from bnnhw.sim.rtl.verilator import Effort
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.memory import bank_words, column_width
from bnnhw.spec.numbers import IntArray
from bnnhw.spec.sdram import BURST
from bnnhw.spec.spill import row_bursts, value_beats

SNAPSHOTS = 2000
ENGINE = "circuit.engine."
"""How names of an engine's memories begin where an SDRAM is simulated beside it."""


def locate(plan: Plan, images: NDArray[np.uint8], *, effort: Effort = Effort.COMPILE) -> Mismatch | str | None:
    """The first stored tensor of the last image of ``images`` that is never right in any cycle; None if none is.

    Memories are read every few cycles of the last frame. Between a layer's end and the first write of the next one
    into the same place its tensor is complete, so a tensor that is right is found right at least once. Spilled maps
    share no place: they are read once, at the end.
    """
    every = max(1, plan.cost.frame // SNAPSHOTS)
    with Simulation.of(plan, effort=effort, snapshots=True) as simulation:
        result = simulation.run(images, every=every)
        memories = simulation.snapshots()
    memories = {name.removeprefix(ENGINE): words for name, words in memories.items()}
    image, number = images[-1:], len(images) - 1
    state = state_of(plan.engine, memories, image)
    if plan.engine.spill is not None:
        state.maps = _maps(plan, memories["chip.memory"][0], number)
    if plan.engine.front is None:
        c = plan.engine.input
        windows = input_windows(c, plan.engine.rows, plan.engine.depth, image)
        if not (state.windows == windows).all(axis=(1, 2, 3)).any():
            return f"input windows of image {number}"
    expected = golden.trace(plan.network, image)
    for symbol in plan.symbols:
        wanted = expected[symbol.name][:, symbol.first : symbol.first + symbol.rows]
        tensor = tensor_of(state, symbol)
        wrong = tensor != wanted
        counts = wrong.sum(axis=(1, 2, 3))
        if counts.min():
            best = int(np.flatnonzero(counts == counts.min())[-1])
            y, x, channel = (int(i) for i in np.argwhere(wrong[best])[0])
            right = int(wanted[0, y, x, channel])
            found = int(tensor[best, y, x, channel])
            return Mismatch(symbol.name, symbol.layer, number, symbol.first + y, x, channel, right, found)
    scores = expected[plan.network.output][0, 0, 0]
    return None if (result.scores[-1] == scores).all() else f"scores of image {number}, all stored tensors are right"


def state_of(config: EngineConfig, memories: Mapping[str, NDArray[np.uint8]], image: NDArray[np.uint8]) -> State:
    """The machine model's memories, one "frame" for each snapshot of the circuit's."""

    def bits(name: str, words: int, width: int) -> NDArray[np.uint8]:
        return np.unpackbits(memories[name][:, :words], axis=2, bitorder="little")[:, :, :width]

    c = config
    state = State(c, image)
    shared = c.bank_slots
    banks = [
        [bits(f"activations.bank_{r}_{s}", c.bit_words, c.lanes * shared) for s in range(0, c.slots, shared)]
        for r in range(c.rows)
    ]
    rows = [np.concatenate([bank.reshape(*bank.shape[:2], shared, c.lanes) for bank in row], axis=2) for row in banks]
    state.activation = np.stack([row.transpose(0, 2, 1, 3) for row in rows], axis=1)
    width = c.post.value_width
    depth = max(c.value_words, 2)
    size = bank_words(depth, c.lanes * width)
    banks_of_values = []
    for first in range(0, depth, size):
        words = min(size, depth - first)
        step = column_width(words)
        columns = [
            bits(f"values.words_{first // size}.column_{low // step}", words, min(step, c.lanes * width - low))
            for low in range(0, c.lanes * width, step)
        ]
        banks_of_values.append(np.concatenate(columns, axis=2))
    state.values = _values(config, np.concatenate(banks_of_values, axis=1)[:, : c.value_words])
    if c.front is None:
        state.windows = _windows(config, memories)
    return state


def _values(config: EngineConfig, words: NDArray[np.uint8]) -> IntArray:
    """Values (..., lanes) of value words (..., bits)."""
    width = config.post.value_width
    weights = 1 << np.arange(width, dtype=np.int64)
    weights[-1] = -weights[-1]
    values: IntArray = words.reshape(*words.shape[:-1], config.lanes, width) @ weights
    return values


def _maps(plan: Plan, words: NDArray[np.uint8], number: int) -> dict[int, IntArray]:
    """Rows of spilled maps, of image ``number``, by their first burst; see `State`. words: of the SDRAM, (n, bytes)."""
    c, front, found = plan.engine, plan.images.front_store, dict[int, IntArray]()
    beats, bits = value_beats(c), c.lanes * c.post.value_width
    for symbol in plan.symbols:
        place = symbol.place
        if not (isinstance(place, ValuePlace) and place.spilled):
            continue
        width, row = place.tensor.width, row_bursts(c, place.tensor.width)
        second = front.size if front is not None and symbol.job < 0 and number % 2 else 0
        for first in range(place.base, place.base + place.groups * place.tensor.height * row, row):
            at = (first + second) * BURST
            stored = np.unpackbits(words[at : at + width * beats].reshape(width, -1), axis=1, bitorder="little")
            found[first] = _values(c, stored[:, :bits])[None]
    return found


def _windows(config: EngineConfig, memories: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Both halves of the double-buffered input memory, as snapshots of their own; unused low bits are not stored."""
    c = config
    used = c.input.used
    rows = []
    for r in range(c.rows):
        whole = np.unpackbits(memories[f"windows.bank_{r}"], axis=2, bitorder="little")[:, :, :used]
        whole = np.pad(whole, ((0, 0), (0, 0), (c.depth - used, 0)))
        half = whole.shape[1] // 2
        rows.append(np.concatenate([whole[:, : c.input.words], whole[:, half : half + c.input.words]]))
    return np.stack(rows, axis=1)
