"""Finds the first tensor that the circuit gets wrong: its memories, cycle by cycle, against the golden model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bnnhw.compiler.plan import Plan
from bnnhw.sim import golden
from bnnhw.sim.machine.model import Mismatch, tensor_of
from bnnhw.sim.machine.state import State, input_windows
from bnnhw.sim.rtl.runner import Simulation
from bnnhw.sim.rtl.verilator import Effort
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.memory import bank_words, column_width

SNAPSHOTS = 2000


def locate(plan: Plan, images: NDArray[np.uint8], *, effort: Effort = Effort.COMPILE) -> Mismatch | str | None:
    """The first stored tensor of the last image of ``images`` that is never right in any cycle; None if none is.

    Memories are read every few cycles of the last frame. Between a layer's end and the first write of the next one
    into the same place its tensor is complete, so a tensor that is right is found right at least once.
    """
    every = max(1, plan.cost.frame // SNAPSHOTS)
    with Simulation.of(plan, effort=effort, snapshots=True) as simulation:
        result = simulation.run(images, every=every)
        memories = simulation.snapshots()
    image, number = images[-1:], len(images) - 1
    state = state_of(plan.engine, memories, image)
    c = plan.engine.input
    windows = input_windows(c, plan.engine.rows, plan.engine.depth, image)
    if not (state.windows == windows).all(axis=(1, 2, 3)).any():
        return f"input windows of image {number}"
    expected = golden.trace(plan.network, image)
    for symbol in plan.symbols:
        wanted = expected[symbol.name][:, symbol.first : symbol.first + symbol.rows]
        wrong = tensor_of(state, symbol) != wanted
        counts = wrong.sum(axis=(1, 2, 3))
        if counts.min():
            best = int(np.flatnonzero(counts == counts.min())[-1])
            y, x, channel = (int(i) for i in np.argwhere(wrong[best])[0])
            right = int(wanted[0, y, x, channel])
            found = int(tensor_of(state, symbol)[best, y, x, channel])
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
    values = np.concatenate(banks_of_values, axis=1)[:, : c.value_words].reshape(-1, c.value_words, c.lanes, width)
    weights = 1 << np.arange(width, dtype=np.int64)
    weights[-1] = -weights[-1]
    state.values = values @ weights
    state.windows = _windows(config, memories)
    return state


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
